"""What the posterior allows a model to reach, measured before any model is trained.

The targets of a model are decode(Z_audio). If these are not intelligible, no model will be; if the latents of
a reference do not reproduce its style, no model can. Measured are the WER of copy synthesis and of
decode(Z_text); the share of the requested shift that the references show after posterior and decoder, and the
correlation of their pitch; and the reconstruction error of synthetic and recorded speech. A failed gate stops
nothing: it prints one line and is shown on the page.
"""

from __future__ import annotations

import logging
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
from intona.studies.engine.runner import NOTE
from intona.studies.engine.stages import COPY, MANIFEST, RESULTS, WAVS, require_corpus
from intona.studies.restyle import metrics, verdict
from intona.studies.restyle.conditions import Conditions, read_conditions, trained_posterior, tuned_decoder
from intona.studies.restyle.verdict import BAD_COPY
from intona.systems.restyle import vits
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.vits import posterior as posteriors
from intona.systems.restyle.vits.posterior import at_level, latents_of, mel_distance, mel_spec

log = logging.getLogger(__name__)

FEWEST = 10  # voiced frames that a correlation needs


def measure_gate(
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
    decoder: str = "",
) -> None:
    """Measure the gate; if it fails, also write one line to `out/note.txt`.

    Args:
        control: the job that spoke decode(Z_text).
        sentences: of the test set, for the reconstruction error of the posterior.
        decoder: job of a tuned decoder, in place of the decoder of the voice.
    """
    require_corpus(data, corpus)
    prepared, space = Prepared.open(data), vits.load(voice)
    conditions = read_conditions(needs["test"])
    net, speaker = trained_posterior(space, needs), space.speaker(None)
    tuned = tuned_decoder(space, needs, decoder)

    def decoded(audio: Audio) -> Audio:
        z = latents_of(space, net, audio, speaker=speaker)
        return space.sound(z, speaker=speaker, decoder=tuned)

    spec = mel_spec(space)
    references: dict[str, dict[str, Any]] = {}
    for id in sorted({w.reference for w in conditions.rows.values()}):
        audio = read_audio(prepared.audio_path(prepared[id])).resample(space.sample_rate)
        output = decoded(audio)
        references[id] = {
            "z": deviations_of(output, conditions),
            "f0": pitch_correlation(audio, output),
            "mel": mel_distance(at_level(net, audio), output, spec),
        }
    rows = {id: references[w.reference] for id, w in conditions.rows.items()}
    results: dict[str, Any] = {"references": len(references), "ceiling": ceiling(rows, conditions)}
    for name in ("f0", "mel"):
        results[name] = _interval([r[name] for r in references.values() if r[name] is not None])

    items = [prepared[i] for i in dict.fromkeys(w.item for w in conditions.rows.values())][:sentences]
    synthetic = []
    for item in items:
        z = z_text_of(space, item.text, item.id, seed=1, speaker=speaker)
        synthetic.append(space.sound(z, speaker=speaker))
    recorded = [read_audio(prepared.audio_path(i)) for i in items]
    recall = posteriors.reconstruction
    results["own"] = _interval(recall(space, net, synthetic, speaker=speaker, synthetic=True))
    results["foreign"] = _interval(recall(space, net, recorded, speaker=speaker))
    results["unlike"] = _interval([mel_distance(a, b, spec) for a, b in pairwise(synthetic)])
    results |= words_of(needs["test"], needs[control], language, asr)
    configs.write_json(out / RESULTS, results)
    (out / NOTE).unlink(missing_ok=True)
    if warning := warning_of(results):
        (out / NOTE).write_text(warning + "\n", encoding="utf-8")
        log.warning(warning)


def deviations_of(audio: Audio, conditions: Conditions) -> list[float] | None:
    try:
        return [round(float(v), 4) for v in conditions.deviations(measure(audio))]
    except UserError:
        return None


def ceiling(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> dict[str, Any]:
    """Share of the requested shift in the decoded references: of STEERED together, and of each attribute."""
    out = {"steered": metrics.shift(rows, conditions)}
    out |= {a: metrics.shift(rows, conditions, (a,)) for a in verdict.SHOWN}
    return {k: None if v is None else asdict(v) for k, v in out.items()}


def pitch_correlation(a: Audio, b: Audio) -> float | None:
    """Pearson's r of log F0 over the frames that are voiced in both; None if there are too few."""
    hop = 0.01
    x, y = (f0_contour(audio, hop).f0 for audio in (a, b))
    n = min(len(x), len(y))
    both = (x[:n] > 0) & (y[:n] > 0)
    if both.sum() < FEWEST:
        return None
    p, q = np.log(x[:n][both]), np.log(y[:n][both])
    return float(np.corrcoef(p, q)[0, 1]) if p.std() > 1e-6 and q.std() > 1e-6 else None


def words_of(test: Path, control: Path, language: str, asr: str) -> dict[str, Any]:
    """WER of copy synthesis and of decode(Z_text), with one row per sentence, and their paired difference."""
    blank = {"copy wer": None, "text wer": None, "lost": None}
    if asr == "none":
        return blank
    config = EvaluationConfig(language=language, asr=asr, judges=("asr",))
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
    """Errors and words of each row; a row that was not spoken counts all words as errors."""
    errors, words = [], []
    for row in rows:
        path = folder / f"{row.id}.wav"
        scores = judge.judge(read_audio(path), row, None) if path.is_file() else judge.failed(row)
        score = scores["wer"]
        count = score.denominator or 1.0
        errors.append(count * score.value if score.numerator is None else score.numerator)
        words.append(count)
    return errors, words


def warning_of(results: Mapping[str, Any]) -> str:
    """One line if the posterior limits the results of the study, else ""."""
    reasons = []
    wer = results["copy wer"]
    if wer is not None and wer["estimate"] > BAD_COPY:
        reasons.append(
            f"copy synthesis has WER {wer['estimate']:.2f}, above {BAD_COPY:g}: the targets of every model "
            "are hardly intelligible"
        )
    share = results["ceiling"]["steered"]
    if share is not None and verdict.style(share) != "moved":
        reasons.append(
            f"references decoded from their latents show {share['estimate']:.2f} "
            f"[{share['low']:.2f}, {share['high']:.2f}] of their style"
            if share["low"] is not None
            else f"references decoded from their latents show {share['estimate']:.2f} of their style"
        )
    return "" if not reasons else f"THE POSTERIOR BOUNDS THIS STUDY: {'; '.join(reasons)}"


def _interval(values: Sequence[float]) -> dict[str, Any] | None:
    return asdict(ratio_interval(list(values))) if len(values) else None
