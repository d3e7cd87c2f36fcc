"""`report.html` of the study: ours beside the published figures, the trade-off, and what a stage forgets."""

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
from intona.studies.engine import claims, page, speech
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import Plan
from intona.studies.engine.runner import Outcome
from intona.studies.engine.stages import RUN
from intona.studies.prosody.plan import ARMS, FAMILY, equal_steps
from intona.studies.prosody.probe import FOUND
from intona.studies.prosody.published import CLAIMS, PUBLISHED_SPACE, PUBLISHED_SPEECH

Cells = Sequence[str | Html | None]
SENTENCES = 3
MEASURES = ("wer", "cer", "distillmos", "f0_rmse", "f0_corr", "duration_ratio")


@dataclass(frozen=True, kw_only=True)
class Results:
    """What stands on disk. `space`: (arm, seed) -> the retrieval; `speech` the evaluation, if it is whole."""

    plan: Plan
    out: Path
    space: dict[tuple[str, int], Mapping[str, Any]]
    speech: Finished | None
    chain: Sequence[Mapping[str, Any]]

    def voices(self) -> list[tuple[str, int]]:
        return [(j.arm, j.seed) for j in self.plan.jobs if j.name.startswith("voice/") and j.seed is not None]

    def value(self, arm: str, seed: int, measure: str) -> Mapping[str, Any] | None:
        """An interval: of a recall, text to sound, or of a measure of the speech with failures counted."""
        if measure.startswith("R@"):
            found = self.space.get((encoder_of(arm), seed))
            return None if found is None else found["encoder"][f"{measure} text-audio"]["recall"]
        return speech.value(self.speech, arm, seed, measure)

    def test(self, claim: claims.Claim, seeds: Sequence[int]) -> claims.Test | None:
        """The paired test of a claim: on sentences, or on the queries of each utterance."""
        if not claim.measure.startswith("R@"):
            if self.speech is None:
                return None
            return claims.compare_voices(self.speech, claim.arm, claim.other, seeds, claim.measure)
        sides, clusters = [], {}
        for arm in (claim.arm, claim.other):
            side = {}
            for seed in seeds:
                if (found := self.space.get((encoder_of(arm), seed))) is not None:
                    hits = found["encoder"][f"{claim.measure} text-audio"]["hits"]
                    side[seed] = {u: (float(n), float(of)) for u, (n, of) in hits.items()}
                    clusters |= found["speaker_of"]
            sides.append(side)
        several = len(set(clusters.values())) > 1
        return claims.compare(sides[0], sides[1], clusters if several else None)


def encoder_of(arm: str) -> str:
    return ARMS[arm].encoder if arm in ARMS else arm


def read(plan: Plan, out: Path) -> Results:
    space, chain = {}, []
    for job in plan.jobs:
        kind, _, rest = job.name.partition("/")
        if kind in ("retrieval", "probe") and is_done(out, plan, job.name) and job.seed is not None:
            found = read_json(folder(out, job.name) / FOUND, max_bytes=1 << 26)
            if kind == "retrieval":
                space[rest.rsplit("/", 1)[0], job.seed] = found
            else:
                chain = found["points"]
    return Results(plan=plan, out=out, space=space, speech=speech.read(out), chain=chain)


def write(plan: Plan, out: Path, outcome: Outcome) -> Path:
    """`out/report.html` from all that is done so far; the rest is named on it."""
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
        _space(results),
        speech.voices(
            results.speech,
            MEASURES,
            title="Table 2: the voices",
            published=PUBLISHED_SPEECH,
            columns=("wer", "cer"),
            source=(
                "Published: Grad-TTS of arXiv 2604.01247, another corpus, recognizer and size. Its "
                f"listeners: {listeners}; DistillMOS, a predictor, is no substitute."
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
                "A point is a run: across, what its encoder finds; upward, what its voice is worth. Bars: "
                "95 % intervals. Runs of one arm are not independent, so the rank correlation comes without "
                "a p."
            ),
            names={"wer": "WER", "distillmos": "DistillMOS"},
            missing="Needs retrieval and judged voices.",
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


def _claims(results: Results, seeds: Sequence[int]) -> Section:
    tests = claims.adjusted([results.test(c, seeds) for c in CLAIMS])
    rows = claims.answers(CLAIMS, tests, results.value, seeds, names={"wer": "WER"})
    return claims.section(
        rows, published="arXiv 2604.01247, other data, sizes and galleries.", lead=claims.RULE
    )


_RECALLS = ("R@1-diff", "R@1-sim", "R@1-sim-spk")


def _space(results: Results) -> Section:
    rows: list[Cells] = []
    galleries: dict[str, None] = {}
    for (arm, seed), found in results.space.items():
        published = PUBLISHED_SPACE.get(arm)
        cells: list[str | Html | None] = [f"{arm}@{seed}"]
        for i, name in enumerate(_RECALLS):
            recall = found["encoder"][f"{name} text-audio"]
            blind = found["baselines"]["speaker and phoneme"][f"{name} text-audio"]["recall"]
            galleries[f"{name} M = {recall['gallery']}, N = {recall['queries']}"] = None
            cells.append(parts.interval(recall["recall"], digits=3))
            if i < 2:
                cells.append(f"{published[i]:.3f}" if published else "–")
            cells.append(f"{recall['chance']:.3f}")
            cells.append("–" if blind is None else f"{blind['estimate']:.3f}")
        rows.append(cells)
    heads: list[str | Html | None] = ["encoder@seed"]
    for i, name in enumerate(_RECALLS):
        heads += [name, *(["published"] if i < 2 else []), "chance", "mean"]
    caption = (
        f"Text to sound on the test split; 95 % intervals over utterances. {'; '.join(galleries)}: M sounds "
        "in a gallery, N queries. Published: arXiv 2604.01247, table 3; its M is not known, and its speakers "
        "are many. Mean: queries that know who speaks and which phoneme, and no more."
    )
    body = parts.table(caption, heads, rows, label="retrieval") if rows else tag("p", "Nothing measured yet.")
    return Section(id="space", title="Table 1: the embedding space", body=body)


def _forgetting(results: Results) -> Section:
    points = results.chain
    lead = (
        "One frozen probe set (the test split) at each kept checkpoint of the chain. Above each stretch the "
        "stage; dotted: chance, the commonest phoneme, a unigram's loss. Phoneme is near 1 before any "
        "training and can only fall; phoneme ahead is the one four places on; duration is the R² of a "
        "phoneme's log length. The masked loss is under the heads of stage 1."
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


def _directions(results: Results) -> Section | None:
    rows: list[Cells] = []
    for (arm, seed), found in results.space.items():
        for name, recall in found["encoder"].items():
            if recall["recall"] is None:
                continue
            blind = [(b.get(name) or {}).get("recall") for b in found["baselines"].values()]
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
        "found",
        "chance",
        "speaker",
        "and phoneme",
        "M",
        "N",
    ]
    caption = (
        "Both directions and every k. Speaker: queries that are the speaker's mean training sound; and "
        "phoneme: the mean of that phoneme as he says it. sim-mix: the queries of sim-spk among all speakers."
    )
    inner = parts.table(caption, heads, rows, label="all recalls", tight=True)
    body = tag("details", tag("summary", f"{len(rows)} recalls"), inner)
    return Section(id="recalls", title="All recalls", body=body)


FREE = ("encoder", "model.encoder.", "loop.seed")  # in which the voices' configs may differ


def _alike(results: Results) -> str:
    """What the finished voices' own configs say: presets and data may change between two calls."""
    found = []
    for job in results.plan.jobs:
        if job.name.startswith("voice/") and is_done(results.out, results.plan, job.name):
            path = checkpoint.resolve(folder(results.out, job.name) / RUN)
            found.append(configs.flat(configs.read_json(path / "config.json")))
    keys = sorted({k for c in found for k in c if not k.startswith(FREE)})
    unlike = [k for k in keys if any(c.get(k) != found[0].get(k) for c in found)]
    if unlike:
        return f"NOT COMPARABLE: the voices differ in {', '.join(unlike)}. Train them again with one version."
    return "differ in the weights that their text encoder starts from, and in nothing else."


def _reading(results: Results) -> Section:
    lines: list[tuple[str, str]] = [
        ("Arms", _alike(results)),
        ("random", "has the sizes and the pieces of stage 1 and none of its weights."),
        ("frozen-, slow-", "controls: the encoder never moves, or at a tenth of the voice's rate."),
        ("R@1-diff, R@1-sim", "the gallery holds other phonemes, or the same phoneme of other utterances."),
        ("Mean", "what R@1-sim gives to someone who knows speaker and phoneme and hears no prosody."),
        ("Intervals", "95 %, over test sentences, or speakers where there are several: never over seeds."),
        ("Published", "another corpus of many speakers, other sizes, unknown galleries: for the order only."),
    ]
    return page.reading(results.plan, lines)
