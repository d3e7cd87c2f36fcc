"""What the posterior leaves to be gained, found before any model is trained.

A model is taught to give decode(Z_audio). If that has no words, no model will have them; if a reference's own
latents do not give its style back, no model can take it from there. So: WER of copy synthesis beside that of
decode(Z_text); the share of the asked shift that the references show once they went through posterior and
decoder, with the correlation of their pitch; and how well the posterior gives back the voice's own speech
and recordings. A gate that is shut stops nothing, and says so: a line for the terminal, and the page.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import Audio, read_audio
from intona.audio.pitch import f0_contour
from intona.data.prepared import Prepared
from intona.encoders.style import measure
from intona.errors import UserError
from intona.evaluation import EvaluationConfig, read_manifest
from intona.evaluation.manifest import Row
from intona.evaluation.run import default_judges
from intona.evaluation.stats import paired_difference, ratio_interval
from intona.latents import vits
from intona.latents.vits import posterior as posteriors
from intona.latents.vits.posterior import at_level, latents_of, mel_distance, mel_spec
from intona.studies.engine.runner import NOTE
from intona.studies.engine.stages import COPY, MANIFEST, WAVS, require_corpus
from intona.studies.restyle import conditions as trial
from intona.studies.restyle import metrics, verdict
from intona.studies.restyle.conditions import Conditions, own_posterior
from intona.studies.restyle.verdict import BAD_COPY
from intona.systems.restyle.latents import z_text_of

FOUND = "found.json"
FEWEST = 10  # voiced frames that a correlation needs


def look(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    language: str,
    asr: str,
    control: str,
    sentences: int,
) -> None:
    """All of it into `out/found.json`, and one line into `out/note.txt` where the gate is shut.

    Args:
        control: job of decode(Z_text). sentences: of the test, for the posterior's own error.
    """
    require_corpus(data, corpus)
    prepared, space = Prepared.open(data), vits.load(voice)
    conditions = trial.read(needs["test"])
    net, speaker = own_posterior(space, needs), space.speaker(None)

    def decoded(audio: Audio) -> Audio:
        return space.sound(latents_of(space, net, audio, speaker=speaker), speaker=speaker)

    spec = mel_spec(space)
    references: dict[str, dict[str, Any]] = {}
    for id in sorted({w.reference for w in conditions.rows.values()}):
        audio = read_audio(prepared.audio_path(prepared[id])).resample(space.sample_rate)
        heard = decoded(audio)
        references[id] = {
            "z": deviations_of(heard, conditions),
            "f0": pitch_correlation(audio, heard),
            "mel": mel_distance(at_level(net, audio), heard, spec),
        }
    rows = {id: references[w.reference] for id, w in conditions.rows.items()}
    found: dict[str, Any] = {"references": len(references), "ceiling": ceiling(rows, conditions)}
    for name in ("f0", "mel"):
        found[name] = _interval([r[name] for r in references.values() if r[name] is not None])

    items = [prepared[i] for i in dict.fromkeys(w.item for w in conditions.rows.values())][:sentences]
    own = []
    for item in items:
        z = z_text_of(space, item.text, item.id, seed=1, speaker=speaker)
        own.append(space.sound(z, speaker=speaker))
    foreign = [read_audio(prepared.audio_path(i)) for i in items]
    recall = posteriors.reconstruction
    found["own"] = _interval(recall(space, net, own, speaker=speaker, own=True))
    found["foreign"] = _interval(recall(space, net, foreign, speaker=speaker))
    found["unlike"] = _interval([mel_distance(a, b, spec) for a, b in pairwise(own)])
    found |= words_of(needs["test"], needs[control], language, asr)
    configs.write_json(out / FOUND, found)
    (out / NOTE).unlink(missing_ok=True)
    if said := told(found):
        (out / NOTE).write_text(said + "\n", encoding="utf-8")
        print(said, file=sys.stderr)


def deviations_of(audio: Audio, conditions: Conditions) -> list[float] | None:
    try:
        return [round(float(v), 4) for v in conditions.deviations(measure(audio))]
    except UserError:
        return None


def ceiling(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> dict[str, Any]:
    """Share of the asked shift in the decoded references: of what is steered, and of each attribute."""
    out = {"steered": metrics.shift(rows, conditions)}
    out |= {a: metrics.shift(rows, conditions, (a,)) for a in verdict.SHOWN}
    return {k: None if v is None else asdict(v) for k, v in out.items()}


def pitch_correlation(a: Audio, b: Audio) -> float | None:
    """Pearson's r of log F0 over the frames that are voiced in both; None where there are too few."""
    hop = 0.01
    x, y = (f0_contour(audio, hop).f0 for audio in (a, b))
    n = min(len(x), len(y))
    both = (x[:n] > 0) & (y[:n] > 0)
    if both.sum() < FEWEST:
        return None
    p, q = np.log(x[:n][both]), np.log(y[:n][both])
    return float(np.corrcoef(p, q)[0, 1]) if p.std() > 1e-6 and q.std() > 1e-6 else None


def words_of(test: Path, control: Path, language: str, asr: str) -> dict[str, Any]:
    """WER of copy synthesis and of decode(Z_text), a row a sentence, and their paired difference."""
    blank = {"copy wer": None, "text wer": None, "lost": None}
    if asr == "none":
        return blank
    config = EvaluationConfig(language=language, asr=asr, measures=("asr",))
    judges = default_judges(config, reference=False)
    judge: Any = judges[0] if judges else None
    if judge is None or not hasattr(judge, "judge"):
        return blank
    rows = [r for r in read_manifest(test / MANIFEST).rows if r.id.endswith(".low")]
    copy, text = (errors_of(judge, rows, folder) for folder in (test / COPY, control / WAVS))
    paired = asdict(paired_difference(copy, text))
    return {
        "copy wer": asdict(ratio_interval(*copy)),
        "text wer": asdict(ratio_interval(*text)),
        "lost": paired | {"estimate": paired["difference"]},
    }


def errors_of(judge: Any, rows: Sequence[Row], folder: Path) -> tuple[list[float], list[float]]:
    """Errors and words of each row; one that was not spoken has lost all its words."""
    errors, words = [], []
    for row in rows:
        path = folder / f"{row.id}.wav"
        scores = judge.judge(read_audio(path), row, None) if path.is_file() else judge.failed(row)
        score = scores["wer"]
        count = score.denominator or 1.0
        errors.append(count * score.value if score.numerator is None else score.numerator)
        words.append(count)
    return errors, words


def told(found: Mapping[str, Any]) -> str:
    """One line where the posterior bounds what can be found, "" where it does not."""
    what = []
    wer = found["copy wer"]
    if wer is not None and wer["estimate"] > BAD_COPY:
        what.append(
            f"copy synthesis has WER {wer['estimate']:.2f}, above {BAD_COPY:g}: what every model is taught "
            "to say is not understood"
        )
    share = found["ceiling"]["steered"]
    if share is not None and verdict.style(share) != "moved":
        what.append(
            f"references decoded from their own latents show {share['estimate']:.2f} "
            f"[{share['low']:.2f}, {share['high']:.2f}] of their style"
            if share["low"] is not None
            else f"references decoded from their own latents show {share['estimate']:.2f} of their style"
        )
    return "" if not what else f"THE POSTERIOR BOUNDS THIS STUDY: {'; '.join(what)}"


def _interval(values: Sequence[float]) -> dict[str, Any] | None:
    return asdict(ratio_interval(list(values))) if len(values) else None
