"""MCD: closed forms, SPTK's and librosa's numbers, the known answers."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.judges import build_judges
from intona.evaluation.judges import mcd as module
from intona.evaluation.judges.base import Inputs, Unavailable
from intona.evaluation.judges.mcd import SETTINGS, McdJudge, distortion, mel_cepstrum, warp_matrix
from intona.evaluation.manifest import Row

ROW = Row(id="a", text="а")
Voice = Callable[..., Audio]
RNG = np.random.default_rng(0)


def _scores(audio: Audio, reference: Audio) -> dict[str, float]:
    return {k: s.value for k, s in McdJudge().judge(audio, ROW, reference).items()}  # type: ignore[misc]


def test_distortion_in_closed_form() -> None:
    """One coefficient off by 1: 10 / ln 10 * sqrt 2 = 6.14 dB, the constant of Kubichek 1993."""
    a, b = np.zeros((7, 5)), np.zeros((7, 5))
    b[:, 2] = 1.0
    assert distortion(a, b) == pytest.approx({"mcd": 6.1418, "mcd_c0": 6.1418}, abs=1e-4)
    b[:, 2], b[:, 0] = 0.0, 1.0
    assert distortion(a, b) == pytest.approx({"mcd": 0.0, "mcd_c0": 6.1418}, abs=1e-4)


def test_without_warping_it_is_the_cepstrum() -> None:
    """alpha = 0: the cosine coefficients of the log magnitude, put into the spectrum by hand."""
    w = np.arange(257) * np.pi / 256
    log = 0.3 + 2 * (0.5 * np.cos(w) - 0.2 * np.cos(3 * w)) / 2
    found = mel_cepstrum(np.exp(2 * log)[None], 4, 0.0)[0]
    assert found == pytest.approx([0.3, 0.5, 0.0, -0.2, 0.0], abs=1e-12)


@pytest.mark.parametrize("alpha", [0.42, 0.55])
def test_warping_is_the_all_pass(alpha: float) -> None:
    """The warped series at the warped frequency is the series: sum c̃_m cos(m w̃) = sum c_n cos(n w)."""
    c = RNG.normal(size=6) * 0.5 ** np.arange(6)
    warped = warp_matrix(6, 200, alpha) @ c
    w = np.linspace(0, np.pi, 50)
    bent = w + 2 * np.arctan2(alpha * np.sin(w), 1 - alpha * np.cos(w))
    straight = (c[:, None] * np.cos(np.arange(6)[:, None] * w)).sum(0)
    assert np.allclose((warped[:, None] * np.cos(np.arange(201)[:, None] * bent)).sum(0), straight)


def test_agrees_with_sptk() -> None:
    """Values of pysptk 1.0.1's sp2mc on the same spectrum; computed anew where it is installed."""
    power = np.exp(np.random.default_rng(0).normal(size=(3, 513)).cumsum(1) * 0.1)
    found = mel_cepstrum(power, 23, 0.42)
    assert found[0, :4] == pytest.approx([0.01283693, 0.24763256, -0.43922725, 0.02027039], abs=1e-8)
    try:
        import pysptk
    except ImportError:
        return
    assert np.allclose(found, [pysptk.sp2mc(p, 23, 0.42) for p in power], atol=1e-12)


def test_path_agrees_with_librosa(voice: Voice) -> None:
    """The same distance along the path of librosa's DTW over the same features."""
    from intona.evaluation.judges.align import cepstra
    from intona.evaluation.judges.f0 import pair, take

    a, b = voice(1.2), voice(1.0, f0=140.0)
    judge, found = McdJudge(), pair(a, b)
    _, path = librosa.sequence.dtw(
        X=cepstra(a.trim(*found.span)).T, Y=cepstra(b.trim(*found.reference_span)).T, metric="euclidean"
    )
    offset = [round(span[0] * 22050 / 256) for span in (found.span, found.reference_span)]
    i, j = path[::-1].T
    theirs = distortion(take(judge.mel_cepstra(a), i + offset[0]), take(judge.mel_cepstra(b), j + offset[1]))
    assert _scores(a, b) == pytest.approx(theirs, rel=0.02)


def test_a_copy_is_at_zero(voice: Voice) -> None:
    assert _scores(voice(1.5), voice(1.5)) == pytest.approx({"mcd": 0.0, "mcd_c0": 0.0}, abs=1e-9)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_gain_is_all_in_c0(voice: Voice, gain: float) -> None:
    """Defect 4: 6 dB are 4.26 dB of MCD with c_0. Here they are 0, and c_0 has a column of its own."""
    audio = voice(1.5)
    found = _scores(Audio(audio.samples * np.float32(gain), audio.sample_rate), audio)
    assert found["mcd"] < 0.01
    assert found["mcd_c0"] == pytest.approx(10 / np.log(10) * np.sqrt(2) * np.log(2), abs=0.01)


def test_a_delay_is_nearly_nothing(voice: Voice) -> None:
    audio = voice(1.5)
    late = Audio(np.concatenate([np.zeros(1600, np.float32), audio.samples]), audio.sample_rate)
    assert _scores(late, audio)["mcd"] < 1.0 < _scores(voice(1.5, f0=180.0), audio)["mcd"]


def test_settings_stand_in_the_description() -> None:
    for rate, (order, alpha) in SETTINGS.items():
        described = McdJudge(sample_rate=rate).describe()
        assert (described["mcd_rate"], described["order"], described["alpha"]) == (rate, order, alpha)
    with pytest.raises(UserError, match="MCD sample rate"):
        McdJudge(sample_rate=8000)


def test_without_world_the_columns_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pyworld", lambda: None)
    assert isinstance(build_judges(Inputs(reference=True), ("mcd",))[0], Unavailable)
