"""Speaker similarity: what GE2E takes for one speaker, WavLM on a tiny model, prompts and failures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from intona.audio import Audio
from intona.encoders import ge2e
from intona.encoders.wavlm import WavLm
from intona.errors import UserError
from intona.evaluation import EvaluationConfig, Manifest, evaluate
from intona.evaluation.judges import build_judges
from intona.evaluation.judges.base import Inputs, Unavailable
from intona.evaluation.judges.speaker import Prompts, SpeakerJudge
from intona.evaluation.manifest import Row

Voice = Callable[..., Audio]
Tiny = Callable[..., Path]
Folder = Callable[..., Path]
needs_weights = pytest.mark.skipif(ge2e.weights_path() is None, reason=ge2e.MEND)


class Pitch:
    """An embedder that hears the zero crossings: two voices of one pitch are one speaker."""

    name = "pitch"

    def __init__(self) -> None:
        self.calls = 0

    def describe(self) -> dict[str, Any]:
        return {"embedder": "pitch"}

    def embed(self, audio: Audio) -> np.ndarray:
        self.calls += 1
        rate = float((np.diff(np.sign(audio.samples)) != 0).mean())
        return np.array([np.cos(20 * rate), np.sin(20 * rate)])


@needs_weights
def test_level_delay_and_rate_are_the_same_speaker(voice: Voice) -> None:
    embedder, audio = ge2e.GE2E(), voice(2.5)
    own = embedder.embed(audio)
    assert own.shape == (256,) and np.linalg.norm(own) == pytest.approx(1.0) and own.min() >= 0
    quieter = Audio(audio.samples * np.float32(0.5), audio.sample_rate)
    late = Audio(np.concatenate([np.zeros(1600, np.float32), audio.samples]), audio.sample_rate)
    assert own @ embedder.embed(quieter) == pytest.approx(1.0, abs=1e-6)
    assert own @ embedder.embed(late) > 0.97
    assert own @ embedder.embed(audio.resample(22_050)) > 0.97
    assert own @ embedder.embed(voice(2.5, f0=260.0)) < 0.9
    assert np.isfinite(embedder.embed(Audio(audio.samples[:900], 16_000))).all()


def test_without_the_wheel_the_column_says_so(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ge2e, "weights_path", lambda: None)
    (judge,) = build_judges(Inputs(prompts=folder("prompts")), ("speaker",))
    assert isinstance(judge, Unavailable)
    assert [m.title for m in judge.measures] == ["SIM-o (GE2E)"]


def test_wavlm_in_the_published_format(tmp_path: Path, voice: Voice, tiny_wavlm: Tiny) -> None:
    """The vector is that of the model called by hand; name and hash stand in the description."""
    pytest.importorskip("transformers")
    from transformers import WavLMForXVector

    path = tiny_wavlm(tmp_path / "wavlm-tiny-sv")
    embedder, audio = WavLm(str(path)), voice(1.5)
    x = audio.samples.astype(np.float64)
    x = torch.from_numpy(((x - x.mean()) / np.sqrt(x.var() + 1e-7)).astype(np.float32))[None]
    with torch.inference_mode():
        vector = WavLMForXVector.from_pretrained(path).eval()(x).embeddings[0]  # type: ignore[operator]
    expected = torch.nn.functional.normalize(vector, dim=0).numpy()
    assert np.allclose(embedder.embed(audio), expected, atol=1e-5)
    assert embedder.name == "WavLM wavlm-tiny-sv"
    assert len(embedder.describe()["embedder_sha256"]) == 64
    assert np.isfinite(embedder.embed(Audio(audio.samples[:900], 16_000))).all()


def test_a_model_without_its_head_is_refused(tmp_path: Path, tiny_wavlm: Tiny) -> None:
    """transformers would fill it in at random and answer."""
    pytest.importorskip("transformers")
    from safetensors.torch import load_file, save_file

    path = tiny_wavlm(tmp_path / "m")
    state = load_file(path / "model.safetensors")
    kept = {k: v for k, v in state.items() if not k.startswith("classifier")}
    save_file({k: v for k, v in kept.items() if not k.startswith("tdnn")}, path / "model.safetensors")
    with pytest.raises(UserError, match="no weights of"):
        WavLm(str(path)).embed(Audio(np.ones(16_000, np.float32), 16_000))
    (path / "config.json").write_text(json.dumps({"model_type": "hubert"}))
    with pytest.raises(UserError, match='a "hubert" model, not wavlm'):
        WavLm(str(path))
    with pytest.raises(UserError, match="no such directory"):
        WavLm("./nowhere")


def test_a_damaged_model_is_one_error(tmp_path: Path, tiny_wavlm: Tiny) -> None:
    pytest.importorskip("transformers")
    audio = Audio(np.ones(16_000, np.float32), 16_000)
    path = tiny_wavlm(tmp_path / "m")
    (path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="cannot be loaded"):
        WavLm(str(path)).embed(audio)
    (path / "preprocessor_config.json").write_text("[1]")
    with pytest.raises(UserError, match="cannot be loaded"):
        WavLm(str(path)).describe()


def test_prompts_by_id_and_by_speaker(folder: Folder) -> None:
    path = folder("prompts", skip=("u2", "u3"))
    soundfile.write(path / "anna.wav", soundfile.read(path / "u0.wav")[0], 16_000)
    prompts = Prompts(path)
    assert prompts.find(Row(id="u1", text="а", speaker="anna")).name == "u1.wav"
    assert prompts.find(Row(id="u3", text="а", speaker="anna")).name == "anna.wav"
    with pytest.raises(UserError, match='no prompt named "u3"'):
        prompts.find(Row(id="u3", text="а"))
    before = prompts.sha256
    soundfile.write(path / "u1.wav", 0.5 * soundfile.read(path / "u1.wav")[0], 16_000)
    assert Prompts(path).sha256 != before


def test_prompts_that_are_no_plain_files_are_refused(folder: Folder) -> None:
    path = folder("prompts")
    os.mkfifo(path / "anna.wav")
    with pytest.raises(UserError, match=r"anna\.wav: not a plain file"):
        Prompts(path)


def test_missing_prompts_are_found_before_judging(folder: Folder, manifest: Manifest) -> None:
    with pytest.raises(UserError, match=r"no prompt for 2 utterances \(u2, u3\)"):
        SpeakerJudge(Pitch(), folder("prompts", skip=("u2", "u3")), rows=manifest.rows)
    with pytest.raises(UserError, match="no such folder"):
        SpeakerJudge(Pitch(), "nowhere")


def test_columns_failures_and_a_prompt_that_is_the_output(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    """A failed output counts -1; the embedder stands in the title; SIM-r comes with its folder."""
    prompts = folder("prompts")
    (prompts / "resynthesized").mkdir()
    for row in manifest.rows:
        samples, rate = soundfile.read(prompts / f"{row.id}.wav")
        soundfile.write(prompts / "resynthesized" / f"{row.id}.wav", 0.3 * samples, rate)
    embedder = Pitch()
    judge = SpeakerJudge(embedder, prompts, rows=manifest.rows)
    report = evaluate(
        {"ours": folder("ours", skip=("u1",))},
        manifest,
        out=tmp_path / "report",
        judges=[judge],
        config=EvaluationConfig(resamples=200),
    )
    assert [m.title for m in report.measures] == ["SIM-o (pitch)", "SIM-r (pitch)"]
    for name in ("sim_o", "sim_r"):
        cell = report.row("ours").cells[name]
        assert cell.scored.estimate == pytest.approx(1.0, abs=1e-3)  # type: ignore[union-attr]
        assert cell.counted.estimate == pytest.approx((3 * 1 - 1) / 4, abs=1e-3)  # type: ignore[union-attr]
    lines = (tmp_path / "report" / "records.jsonl").read_text().splitlines()
    detail = [r["detail"] for r in map(json.loads, lines) if r["id"] == "u0" and r["measure"] == "sim_o"]
    assert detail[0]["own_prompt"] is True
    # An output that is its prompt shares one vector with it, and the resynthesized three are embedded once.
    assert embedder.calls == 6


def test_a_bad_prompt_is_an_input_error(folder: Folder, manifest: Manifest) -> None:
    prompts = folder("prompts")
    soundfile.write(prompts / "u0.wav", np.zeros(8_000), 16_000)
    judge = SpeakerJudge(Pitch(), prompts)
    with pytest.raises(UserError, match=r"u0\.wav: the prompt is silent"):
        judge.judge(Audio(np.ones(8_000, np.float32), 16_000), manifest.rows[0], None)
