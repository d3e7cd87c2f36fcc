"""`intona study restyle --only recordings`: towards recordings, through a decoder that can speak them.

The decoder of the voice loses the words of another speaker's recordings before any model does. So here a copy
that was tuned to the recordings speaks everything: the arms, decode(Z_text), decode(Z_audio) and the decoded
references of the gate. Every arm is trained with every seed and speaks at the guidance scale of the verdict.
One decoder serves all seeds: the trainings that the claims are about are those of the models.

`--readers` names further prepared corpora, in any language. Each gets a tuned decoder, which is a speaker
identity: the same latents are spoken by the decoder of each reader, in both styles (the paper's swap of style
and speaker). That, the axes of the voice's own speech and the probes are described, not judged.

`--dry-run` prints the cost of size small; see docs/notebook/restyle.md. Size toy is a smoke test.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.errors import UserError
from intona.studies.engine import common
from intona.studies.engine.claims import Claim
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan
from intona.studies.restyle import plan as study
from intona.studies.restyle.arms import GATE, POSTERIOR, STYLE
from intona.studies.restyle.own_axes import AXES
from intona.studies.restyle.plan import CONTROL, GATE_PY, SPEECH_PY, RestylePlanner
from intona.studies.restyle.published import loses_words
from intona.studies.restyle.sizes import SIZES as STUDY_SIZES
from intona.studies.restyle.verdict import PRIMARY, at_primary

OWN_AXES_PY = "intona.studies.restyle.own_axes"
FIRST = "A"  # the reader of --data, whose decoder speaks all arms
VOICE_TEXT = f"{CONTROL}.voice"  # decode(Z_text) by the decoder of the voice
COPIES = "copies"  # decode(Z_audio) of the recordings of the test set
SWAPPED = "palette"  # the model whose latents every reader's decoder speaks

ARMS = {
    "palette": "v-diffusion, aligned, 1-D, real frames alone, decoded by the tuned decoder",
    "palette-unaligned": "palette with the durations that the voice predicts",
    "bridge": "I2SB, otherwise as palette",
    "bridge-unaligned": "bridge with the durations that the voice predicts",
}
DEFAULT_ARMS = tuple(ARMS)
REPEATED = DEFAULT_ARMS
SIZES = STUDY_SIZES


def _steered(text: str, arm: str) -> Claim:
    """That an arm realizes a share of the requested pitch: more than decode(Z_text), which has no share."""
    return Claim(text=text, measure="shift", arm=at_primary(arm), other=CONTROL, sign=1, paired=True)


# The paper has no figures, so no effect can be excluded: it can hold, be reversed or stay open. No training
# is behind decode(Z_text), so each training is compared with the same one (`paired`).
CLAIMS = (
    loses_words("misalignment loses words towards recordings", "palette-unaligned", "palette"),
    loses_words("misalignment loses the bridge's words, too", "bridge-unaligned", "bridge"),
    Claim(
        text="towards recordings, as in the paper, the words are lost",
        measure="wer",
        arm=at_primary("palette-unaligned"),
        other=CONTROL,
        sign=1,
        paired=True,
    ),
    _steered("and the requested pitch comes", "palette-unaligned"),
    _steered("the requested pitch comes where Z_text is aligned", "palette"),
    _steered("and from the unaligned bridge", "bridge-unaligned"),
    _steered("and from the aligned bridge", "bridge"),
)
COMPARISONS = (
    loses_words("the bridge is no better for the words than Palette", "bridge", "palette"),
    loses_words("nor is it unaligned", "bridge-unaligned", "palette-unaligned"),
)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A corpus of one reader. `at`: the arguments of jobs on it (`StudyCorpus`)."""

    name: str
    at: dict[str, str]

    @property
    def decoder(self) -> str:
        """The job of its tuned decoder."""
        return f"encoder/decoder-{self.name}"


def swapped_rows(reader: str) -> dict[str, str]:
    """What is decoded -> the row of the tables in which the decoder of a reader speaks it."""
    rows = {"text": CONTROL, "recordings": COPIES, SWAPPED: at_primary(SWAPPED)}
    return rows if reader == FIRST else {k: f"{row}.{reader}" for k, row in rows.items()}


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0, 1, 2),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    vits: str | None = None,
    readers: Sequence[Path] | None = None,
    asr: str = "offline",
) -> StudyPlan:
    """The jobs: what all seeds build on, the claims' arms seed by seed, then what is described.

    Args:
        readers: further prepared corpora, whose readers are the other speakers of the swap.

    Raises:
        UserError: an unknown arm or size, a repeated arm, seed or reader, data that is not prepared or is in
            another language than the voice's.
    """
    chosen = common.chosen("restyle", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus = common.corpus(data, aligned=False)
    voice = vits or study.PIPER
    study.require_language(corpus.prepared, voice)
    planner = _RecordingsPlanner(
        jobs=RestylePlanner(
            size=SIZES[size],
            preset=size,
            at=dict(corpus.at),
            voice=voice,
            language=corpus.language,
            asr=asr,
        ),
        readers=_readers(corpus, readers or ()),
    )
    jobs = planner.shared()
    for seed in seeds:
        jobs += planner.seed(chosen, seed)
    jobs += planner.described(chosen, seeds[0])
    speech = tuple(j.name for j in jobs if j.name.startswith("said/"))
    judge = common.judge_job(
        corpus,
        speech,
        measures=study.JUDGES,
        family=study.FAMILY,
        asr=asr,
        against=[f"{CONTROL}@0"],
        minutes=0,
    )
    minutes = SIZES[size].minutes
    # Two more rows: the recording and its copy synthesis.
    same = 2 + sum(planner.is_same_audio(n) for n in speech)
    whole = same * minutes["judge same"] + (len(speech) + 2 - same) * minutes["judge"]
    jobs.append(dataclasses.replace(judge, minutes=whole))
    return StudyPlan(
        study="restyle recordings", arms=tuple(Arm(name=n, what=ARMS[n]) for n in chosen), jobs=tuple(jobs)
    )


def _readers(corpus: common.StudyCorpus, more: Sequence[Path]) -> tuple[Reader, ...]:
    """The reader of the study's corpus, "A", and those of further corpora, "B", "C", …"""
    every = [corpus, *(common.corpus(path, aligned=False) for path in more)]
    if len({c.at["corpus"] for c in every}) < len(every) or len(every) > len(string.ascii_uppercase):
        raise UserError("each reader is a corpus of its own", where="--readers", hint="name none twice")
    return tuple(Reader(name=n, at=dict(c.at)) for n, c in zip(string.ascii_uppercase, every, strict=False))


@dataclass(frozen=True, kw_only=True)
class _RecordingsPlanner:
    """Args: readers: the first is that of the study's corpus."""

    jobs: RestylePlanner
    readers: tuple[Reader, ...]

    @property
    def at(self) -> dict[str, str]:
        return {**self.jobs.at, "voice": self.jobs.voice}

    def shared(self) -> list[StudyJob]:
        """Posterior, tuned decoder, test set, control and gate."""
        jobs, at, size, tuned = self.jobs, self.at, self.jobs.size, self.readers[0].decoder
        control = f"said/{CONTROL}/0"
        people: dict[str, Any] = {**at, "readers": {r.name: r.at for r in self.readers}}
        judged = {"language": jobs.language, "asr": jobs.asr, "control": control, "sentences": 16}
        return [
            jobs.stage_job(POSTERIOR, "restyle.posterior", size.posterior, seed=0),
            self._decoder(self.readers[0]),
            jobs.job("people", f"{study.SPEAKERS_PY}:measure_speakers", people, (), "people"),
            jobs.job(
                "test",
                f"{study.CONDITIONS_PY}:declare_test",
                {**at, "sentences": size.sentences, "decoder": tuned},
                (POSTERIOR, tuned),
                "test",
            ),
            self._speech(CONTROL, 0, decoder=tuned),
            jobs.job(
                GATE,
                f"{GATE_PY}:measure_gate",
                {**at, **judged, "decoder": tuned},
                ("test", POSTERIOR, control, tuned),
                "gate",
            ),
        ]

    def seed(self, arms: Sequence[str], seed: int) -> list[StudyJob]:
        """A model for each arm, and its speech."""
        jobs = [self.jobs.model_job(name, seed) for name in arms]
        return jobs + [
            self._speech(
                at_primary(name),
                seed,
                arm=name,
                model=f"voice/{name}/{seed}",
                guidance=PRIMARY,
                decoder=self.readers[0].decoder,
            )
            for name in arms
        ]

    def described(self, arms: Sequence[str], seed: int) -> list[StudyJob]:
        """The other readers, the axes of the voice's own speech, the style embedding and the probes."""
        jobs, size, at = self.jobs, self.jobs.size, self.at
        out = [self._speech(COPIES, 0, decoder=self.readers[0].decoder, copied=True)]
        for reader in self.readers[1:]:
            rows = swapped_rows(reader.name)
            out.append(self._decoder(reader))
            out.append(self._speech(rows["text"], 0, decoder=reader.decoder))
            out.append(self._speech(rows["recordings"], 0, decoder=reader.decoder, copied=True))
            if SWAPPED in arms:
                model = f"voice/{SWAPPED}/{seed}"
                out.append(
                    self._speech(
                        rows[SWAPPED],
                        seed,
                        arm=SWAPPED,
                        model=model,
                        guidance=PRIMARY,
                        decoder=reader.decoder,
                    )
                )
        plain = f"said/{VOICE_TEXT}/0"
        out.append(self._speech(VOICE_TEXT, 0))
        out += [
            jobs.job(
                f"said/own-{axis}/0",
                f"{OWN_AXES_PY}:speak_axis",
                {**at, "axis": axis, "unshifted": plain},
                ("test", "people", plain),
                "say",
            )
            for axis in AXES
        ]
        probed = {**at, "train": size.probed[0], "test": size.probed[1], "embedding": STYLE}
        tower = (("tower", study.text_tower()),)
        out.append(jobs.stage_job(STYLE, "restyle.style", size.style, seed=0, more=tower))
        out.append(jobs.job("probes", f"{study.PROBES_PY}:run_probes", probed, (POSTERIOR, STYLE), "probes"))
        return out

    def _decoder(self, reader: Reader) -> StudyJob:
        """The decoder tuned to a reader; it uses no text, so the reader may speak another language."""
        jobs = dataclasses.replace(self.jobs, at=reader.at)
        more = () if reader.name == FIRST else (("any_language", "true"),)
        return jobs.stage_job(
            reader.decoder, "restyle.decoder", jobs.size.decoder, 0, (POSTERIOR,), more=more
        )

    def _speech(self, row: str, seed: int, *, arm: str = "", **more: Any) -> StudyJob:
        """A row of the tables, with the arguments of `speech.speak`; defaults are left out of its hash."""
        needs = ["test", "people", *(more[k] for k in ("model", "decoder") if k in more)]
        if more.get("copied"):
            needs.append(POSTERIOR)
        name = f"said/{row}/{seed}"
        kind = "same" if self.is_same_audio(name) else "say"
        job = self.jobs.job(name, f"{SPEECH_PY}:speak", {**self.at, **more}, tuple(needs), kind, arm=arm)
        return dataclasses.replace(job, seed=seed) if arm else job

    @staticmethod
    def is_same_audio(job: str) -> bool:
        """Whether both styles of a sentence are the same audio: there is no model."""
        return job.split("/")[1].split(".")[0] in (CONTROL, COPIES)
