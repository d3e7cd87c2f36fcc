"""The page of `intona study prosody`: measured and published figures, the trade-off, forgetting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona import checkpoint
from intona import config as configs
from intona.config import read_json
from intona.evaluation.finished import Finished
from intona.evaluation.html import Html, Section, parts, tag
from intona.studies.engine import claims, claims_list, page, speech
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.engine.stages import RESULTS, RUN
from intona.studies.prosody.plan import ARMS, FAMILY, equal_steps
from intona.studies.prosody.published import CLAIMS, PUBLISHED_SPACE, PUBLISHED_SPEECH

Cells = Sequence[str | Html | None]
SENTENCES = 3
MEASURES = ("wer", "cer", "distillmos", "f0_rmse", "f0_corr", "duration_ratio")


@dataclass(frozen=True, kw_only=True)
class ProsodyResults:
    """Results on disk. `space`: (arm, seed) -> retrieval; `chain`: points of the probe of `follow`."""

    plan: StudyPlan
    out: Path
    space: dict[tuple[str, int], Mapping[str, Any]]
    speech: Finished | None
    chain: Sequence[Mapping[str, Any]]

    def voices(self) -> list[tuple[str, int]]:
        return [(j.arm, j.seed) for j in self.plan.jobs if j.name.startswith("voice/") and j.seed is not None]

    def value(self, arm: str, seed: int, measure: str) -> Mapping[str, Any] | None:
        """The interval of a recall (text to audio), or of a measure of the speech with failures counted."""
        if measure.startswith("R@"):
            retrieval = self.space.get((encoder_of(arm), seed))
            return None if retrieval is None else retrieval["encoder"][f"{measure} text-audio"]["recall"]
        return speech.value(self.speech, arm, seed, measure)

    def test(self, claim: claims.Claim, seeds: Sequence[int]) -> claims.Test | None:
        """The paired test of a claim, over sentences or over the retrieval queries of each utterance."""
        if not claim.measure.startswith("R@"):
            if self.speech is None:
                return None
            return claims.compare_voices(
                self.speech, claim.arm, claim.other, seeds, claim.measure, paired=claim.paired
            )
        sides, clusters = [], {}
        for arm in (claim.arm, claim.other):
            side = {}
            for seed in seeds:
                if (retrieval := self.space.get((encoder_of(arm), seed))) is not None:
                    hits = retrieval["encoder"][f"{claim.measure} text-audio"]["hits"]
                    side[seed] = {u: (float(n), float(of)) for u, (n, of) in hits.items()}
                    clusters |= retrieval["speaker_of"]
            sides.append(side)
        several = len(set(clusters.values())) > 1
        return claims.compare(sides[0], sides[1], clusters if several else None, paired=claim.paired)


def encoder_of(arm: str) -> str:
    return ARMS[arm].encoder if arm in ARMS else arm


def read(plan: StudyPlan, out: Path) -> ProsodyResults:
    space, chain = {}, []
    for job in plan.jobs:
        kind, _, rest = job.name.partition("/")
        if kind in ("retrieval", "probe") and is_done(out, plan, job.name) and job.seed is not None:
            results = read_json(folder(out, job.name) / RESULTS, max_bytes=1 << 26)
            if kind == "retrieval":
                space[rest.rsplit("/", 1)[0], job.seed] = results
            else:
                chain = results["points"]
    return ProsodyResults(plan=plan, out=out, space=space, speech=speech.read(out), chain=chain)


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` from the jobs that are done so far; it lists the others."""
    results = read(plan, out)
    seeds = sorted({s for _, s in results.voices()})
    listeners = "; ".join(
        f"{arm} {name} {p[name]}"
        for arm, p in PUBLISHED_SPEECH.items()
        for name in ("MOS", "IntMOS")
        if name in p
    )
    sections = [
        _claims(results, seeds),
        page.state(plan, outcome),
        space_section(results),
        speech.voices(
            results.speech,
            MEASURES,
            title="Table 2: the voices",
            published=PUBLISHED_SPEECH,
            columns=("wer", "cer"),
            source=(
                "Published: Grad-TTS of arXiv 2604.01247, with another corpus, recognizer and size. Its "
                f"listening test: {listeners}; DistillMOS, which predicts such scores, does not replace it."
            ),
        ),
        claims.against(
            results.speech, list(dict.fromkeys(a for a, _ in results.voices())), "random", seeds, FAMILY
        ),
        speech.tradeoffs(
            [(r, m) for r in ("R@1-diff", "R@1-sim") for m in ("wer", "distillmos")],
            results.voices(),
            results.value,
            title="Does a better space give better speech?",
            lead=(
                "Each point is a run: the recall of its encoder on the x axis, the quality of its voice on "
                "the y axis. Bars: 95 % intervals. Runs of one arm are not independent, so the rank "
                "correlation has no p value."
            ),
            names={"wer": "WER", "distillmos": "DistillMOS"},
            missing="Needs the retrieval and the evaluation of the voices.",
        ),
        _forgetting(results),
        _directions(results),
        speech.audio(results.speech, SENTENCES),
        page.budget(plan, out),
        _reading(results),
    ]
    return page.write(
        sections,
        out,
        title="Study: the prosody encoder's curriculum",
        subtitle=page.subtitle(
            plan, outcome, f"{len(results.voices())} voices of {equal_steps(plan)} steps each"
        ),
    )


def _claims(results: ProsodyResults, seeds: Sequence[int]) -> Section:
    tests = claims.adjusted([results.test(c, seeds) for c in CLAIMS])
    claims_list.save(results.out, CLAIMS, tests, paper="2604.01247", command="intona study prosody")
    rows = claims.answers(CLAIMS, tests, results.value, seeds, names={"wer": "WER"})
    return claims.section(
        rows, published="arXiv 2604.01247, with other data, sizes and galleries.", lead=claims.RULE
    )


BASELINES = ("speaker", "speaker and phoneme", "triphone")
_RECALLS = ("R@1-diff", "R@1-sim", "R@1-sim-spk")


def _baselines(retrieval: Mapping[str, Any], name: str) -> list[Mapping[str, Any] | None]:
    """The recall of each baseline; None where it has none, or the job ran before the baseline existed."""
    return [(retrieval["baselines"].get(b, {}).get(name) or {}).get("recall") for b in BASELINES]


def space_section(results: ProsodyResults) -> Section:
    rows: list[Cells] = []
    galleries: dict[str, None] = {}
    for (arm, seed), retrieval in results.space.items():
        published = PUBLISHED_SPACE.get(arm)
        cells: list[str | Html | None] = [f"{arm}@{seed}"]
        for i, name in enumerate(_RECALLS):
            recall = retrieval["encoder"][f"{name} text-audio"]
            blind = _baselines(retrieval, f"{name} text-audio")[1:]
            galleries[f"{name} M = {recall['gallery']}, N = {recall['queries']}"] = None
            cells.append(parts.interval(recall["recall"], digits=3))
            if i < 2:
                cells.append(f"{published[i]:.3f}" if published else "–")
            cells.append(f"{recall['chance']:.3f}")
            cells += ["–" if b is None else f"{b['estimate']:.3f}" for b in blind]
        rows.append(cells)
    heads: list[str | Html | None] = ["encoder@seed"]
    for i, name in enumerate(_RECALLS):
        heads += [name, *(["published"] if i < 2 else []), "chance", "mean", "triphone"]
    caption = (
        "Text to audio on the test split; 95 % intervals over utterances. "
        f"{'; '.join(galleries)}: M sounds per gallery, N queries. Published: arXiv 2604.01247, table 3, "
        "with unknown M and many speakers. Mean: queries that know only the speaker and the phoneme; "
        "triphone: the phoneme and its neighbours."
    )
    body = parts.table(caption, heads, rows, label="retrieval") if rows else tag("p", "Nothing measured yet.")
    return Section(id="space", title="Table 1: the embedding space", body=body)


def _forgetting(results: ProsodyResults) -> Section:
    points = results.chain
    lead = (
        "One fixed probe set (the test split) at each kept checkpoint of the chain, with the stages named "
        "above. Dotted: chance, the commonest phoneme, the loss of a unigram model. Phoneme is near 1 before "
        "any training and can only fall. Phoneme ahead is the phoneme four positions later. Duration is the "
        "R² of a phoneme's log length. The masked loss uses the heads of stage 1."
    )
    title = "What a stage forgets"
    if not points:
        return Section(id="forgetting", title=title, body=tag("p", "Not probed, or not yet."))
    last: dict[int, int] = {}
    for p in points:
        last[p["place"]] = max(last.get(p["place"], 0), p["step"])
    start = {place: sum(last[q] for q in last if q < place) for place in last}
    names = {p["place"]: str(p["run"]).split("/")[1] for p in points}
    ends = [(names[q], float(start[q] + last[q])) for q in sorted(last)]
    places = [float(start[p["place"]] + p["step"]) for p in points]

    def curve(name: str, level: str = "") -> page.Curve:
        known = [p[level] for p in points if p.get(level) is not None]
        return page.Curve(
            name=name,
            places=places,
            values=[p.get(name) for p in points],
            level=known[-1] if known else None,
        )

    across = "steps of the whole chain"
    plots = [
        page.curves("Retrieval", across, [curve(n, f"{n} chance") for n in ("R@1-diff", "R@1-sim")], ends),
        page.curves(
            "Linear probe of the text states",
            across,
            [curve(n, f"{n} majority") for n in ("phoneme", "phoneme ahead")]
            + [curve("duration", "duration mean")],
            ends,
        ),
        page.curves(
            "Masked loss, nats",
            across,
            [curve(f"masked {n}", f"masked {n} unigram") for n in ("phonemes", "pieces")],
            ends,
        ),
    ]
    return Section(id="forgetting", title=title, lead=lead, body=parts.grid(plots, class_="plots"))


def _directions(results: ProsodyResults) -> Section | None:
    rows: list[Cells] = []
    for (arm, seed), retrieval in results.space.items():
        for name, recall in retrieval["encoder"].items():
            if recall["recall"] is None:
                continue
            blind = _baselines(retrieval, name)
            rows.append(
                [
                    f"{arm}@{seed}",
                    name,
                    parts.interval(recall["recall"], digits=3),
                    f"{recall['chance']:.3f}",
                    *("–" if b is None else f"{b['estimate']:.3f}" for b in blind),
                    str(recall["gallery"]),
                    str(recall["queries"]),
                ]
            )
    if not rows:
        return None
    heads: list[str | Html | None] = [
        "encoder@seed",
        "recall",
        "measured",
        "chance",
        "speaker",
        "and phoneme",
        "triphone",
        "M",
        "N",
    ]
    caption = (
        "Both directions and every k. Speaker: the query is the speaker's mean training sound; and phoneme: "
        "the speaker's mean sound of that phoneme; triphone: anybody's mean sound of the phoneme between its "
        "neighbours, which is what context gives without prosody. sim-mix: the queries of sim-spk among all "
        "speakers."
    )
    inner = parts.table(caption, heads, rows, label="all recalls", tight=True)
    body = tag("details", tag("summary", f"{len(rows)} recalls"), inner)
    return Section(id="recalls", title="All recalls", body=body)


FREE = ("encoder", "model.encoder.", "loop.seed")  # fields in which the configs of the voices may differ


def _compare_configs(results: ProsodyResults) -> str:
    """Whether the configs of the finished voices agree: presets may change between two calls."""
    voices = []
    for job in results.plan.jobs:
        if job.name.startswith("voice/") and is_done(results.out, results.plan, job.name):
            path = checkpoint.resolve(folder(results.out, job.name) / RUN)
            voices.append(configs.flat(configs.read_json(path / "config.json")))
    keys = sorted({k for c in voices for k in c if not k.startswith(FREE)})
    unlike = [k for k in keys if any(c.get(k) != voices[0].get(k) for c in voices)]
    if unlike:
        return f"NOT COMPARABLE: the voices differ in {', '.join(unlike)}. Train them again with one version."
    return "The voices differ only in the first weights of their text encoder."


def _reading(results: ProsodyResults) -> Section:
    lines: list[tuple[str, str]] = [
        ("Arms", _compare_configs(results)),
        ("random", "The sizes and the BPE pieces of stage 1, with random weights."),
        ("frozen-, slow-", "Controls: the encoder is frozen, or trained at a tenth of the learning rate."),
        ("R@1-diff, R@1-sim", "The gallery has other phonemes, or the same phoneme in other utterances."),
        ("Mean", "R@1-sim of a query that knows the speaker and the phoneme but not the prosody."),
        ("Intervals", "95 %, over test sentences, or speakers where there are several; never over seeds."),
        (
            "Published",
            "Another corpus with many speakers, other sizes and galleries: only the order compares.",
        ),
    ]
    return page.reading(results.plan, lines)
