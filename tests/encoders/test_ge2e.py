"""The GE2E net against librosa's features and the published forward pass, and what its vectors say."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from intona.audio import Audio, read_audio
from intona.encoders import ge2e
from intona.errors import UserError

WAVS = sorted((Path(__file__).parents[1] / "assets" / "festvox-ru-small" / "wav").glob("*.wav"))
installed = pytest.mark.skipif(ge2e.weights_path() is None, reason=ge2e.MEND)


def test_features_are_librosas() -> None:
    samples = read_audio(WAVS[0], sample_rate=16000).samples[:32000]
    want = librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40).T
    got = ge2e.mel_power(samples)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6 * want.max())


@pytest.mark.parametrize("n", [1, 8_000, 25_600, 25_601, 31_000, 40_000, 100_000, 163_211])
def test_windows_are_those_of_the_published_formula(n: int) -> None:
    frames, step = int(np.ceil((n + 1) / 160)), int(np.round((16_000 / 1.3) / 160))
    starts = list(range(0, max(1, frames - 160 + step + 1), step))
    if (n - starts[-1] * 160) / 25_600 < 0.75 and len(starts) > 1:
        starts = starts[:-1]
    assert ge2e.window_starts(n) == starts


def test_pauses_are_cut_and_silence_is_refused() -> None:
    tone = np.sin(np.arange(16000) * 0.1).astype(np.float32) * 0.1
    long = np.concatenate([tone, np.zeros(32000, np.float32), tone])
    assert 30_000 < len(ge2e.speech_of(Audio(long, 16000))) < 40_000
    kept = ge2e.speech_of(Audio(long, 16000))
    assert np.allclose(ge2e.speech_of(Audio(long * np.float32(0.3), 16000)), kept, atol=1e-6)
    with pytest.raises(UserError, match="no sound"):
        ge2e.speech_of(Audio(np.zeros(16000, np.float32), 16000))


@pytest.mark.parametrize("n", [1, 100, 479, 480, 5 * 480 + 3, 7 * 480, 8 * 480])
def test_a_sound_of_any_length_is_kept(n: int) -> None:
    tone = np.sin(2 * np.pi * 220 * np.arange(1, n + 1) / ge2e.RATE).astype(np.float32)
    assert len(ge2e.speech_of(Audio(tone, ge2e.RATE))) >= n - n % 480


@installed
def test_one_speaker_is_near_himself_and_far_from_another() -> None:
    net = ge2e.GE2E()
    own = [net.embed(read_audio(p)) for p in WAVS[:3]]
    # The same recordings played a third faster: another vocal tract and pitch.
    other = [net.embed(Audio(read_audio(p).samples, 16000 * 4 // 3)) for p in WAVS[:3]]
    assert all(v.shape == (256,) and abs(np.linalg.norm(v) - 1) < 1e-5 for v in own)
    same = min(float(own[i] @ own[j]) for i in range(3) for j in range(i))
    apart = max(float(a @ b) for a in own for b in other)
    assert same > 0.8 > apart, (same, apart)


@installed
def test_the_net_is_the_published_lstm_step_by_step() -> None:
    net = ge2e.GE2E().net
    x = torch.rand(2, 9, 40)
    state = net.state_dict()
    layer_in = x
    for layer in range(3):  # gates i, f, g, o, by hand
        w, u = state[f"lstm.weight_ih_l{layer}"], state[f"lstm.weight_hh_l{layer}"]
        bias = state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"]
        h = c = torch.zeros(2, 256)
        out = []
        for t in range(9):
            i, f, g, o = (layer_in[:, t] @ w.T + h @ u.T + bias).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            out.append(h)
        layer_in = torch.stack(out, dim=1)
    e = torch.relu(layer_in[:, -1] @ state["linear.weight"].T + state["linear.bias"])
    torch.testing.assert_close(net(x), e / e.norm(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(UserError, match="sha256"):
        ge2e.GE2E(tmp_path / "x.pt")
