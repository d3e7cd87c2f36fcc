"""DNSMOS P.835 and P.808 (Reddy et al. 2021, 2022), predictors that react to noise more than to naturalness.

The ONNX files come from the installed wheel `speechmos` and are run here, because the package would import
librosa and `requests`. The computation is that of the package: windows of 9.01 s every second, short audio
repeated until it is long enough, P.835 outputs through the published polynomials, P.808 on a 120-band mel
spectrogram in dB. One thing differs: the package refuses samples beyond full scale, which are scored as they
are here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from intona.audio import Audio, resampler_id
from intona.audio.features import hz_to_slaney, slaney_to_hz
from intona.errors import UserError
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.manifest import Row
from intona.provenance import sha256 as file_sha256

RATE = 16_000
SECONDS = 9.01
WINDOW = 144_160
HOP = RATE
FILES = {
    "dnsmos_models/sig_bak_ovr.onnx": "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
    "dnsmos_models/model_v8.onnx": "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
}
#: Signal, background, overall: raw outputs of the network -> the scale of P.835.
POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
MEASURES = (
    Measure(name="dnsmos_ovrl", title="DNSMOS OVRL", failed=1.0, better="higher"),
    Measure(name="dnsmos_sig", title="DNSMOS SIG", failed=1.0, better="higher"),
    Measure(name="dnsmos_bak", title="DNSMOS BAK", failed=1.0, better="higher"),
    Measure(name="dnsmos_p808", title="DNSMOS P.808", failed=1.0, better="higher"),
)
INSTALL = "pip install --no-deps speechmos==0.0.1.1 && pip install onnxruntime"
BATCH = 8


class DnsMosJudge(Judge):
    """Predicted overall, signal and background quality (P.835), and overall again (P.808); 1 to 5.

    Raises:
        UserError: the wheel or onnxruntime is missing, or a model file is not the pinned one.
    """

    name = "dnsmos"
    install = INSTALL
    measures = MEASURES

    def __init__(self) -> None:
        paths = model_paths()
        if paths is None:
            raise UserError("speechmos or onnxruntime is not installed", hint=INSTALL)
        for path, pinned in zip(paths, FILES.values(), strict=True):
            if file_sha256(path) != pinned:
                raise UserError(
                    "the sha256 is not the pinned one",
                    where=path,
                    hint="pip install --force-reinstall speechmos",
                )
        self.paths = paths

    @classmethod
    def installed(cls) -> bool:
        return model_paths() is not None

    def describe(self) -> dict[str, Any]:
        return {
            "model": "DNSMOS P.835 sig_bak_ovr, P.808 model_v8 (speechmos 0.0.1.1)",
            "model_sha256": list(FILES.values()),
            "window_seconds": SECONDS,
            "hop_seconds": HOP / RATE,
            "sample_rate": RATE,
            "resampler": resampler_id(),
            "onnxruntime": importlib.metadata.version("onnxruntime"),
        }

    @cached_property
    def _sessions(self) -> list[Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Judges and workers share the cores.
        options.intra_op_num_threads = 1
        return [
            onnxruntime.InferenceSession(str(p), options, providers=["CPUExecutionProvider"])
            for p in self.paths
        ]

    def predict(self, audio: Audio) -> dict[str, float]:
        p835, p808 = self._sessions
        predictions = []
        all_windows = windows(audio.resample(RATE).samples)
        for start in range(0, len(all_windows), BATCH):
            batch = all_windows[start : start + BATCH]
            mels = np.stack([p808_features(x[:-160]) for x in batch])
            raw = np.asarray(p835.run(None, {"input_1": batch})[0], np.float64)
            overall = np.asarray(p808.run(None, {"input_1": mels})[0], np.float64)
            scale = [np.polyval(p, raw[:, i]) for i, p in enumerate(POLYNOMIALS)]
            predictions.append(np.column_stack([*scale, overall[:, 0]]))
        sig, bak, ovrl, p808_mean = np.concatenate(predictions).mean(0)
        values = {"dnsmos_ovrl": ovrl, "dnsmos_sig": sig, "dnsmos_bak": bak, "dnsmos_p808": p808_mean}
        return {k: float(v) for k, v in values.items()}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {name: Score(value=value) for name, value in self.predict(audio).items()}


def windows(samples: np.ndarray) -> np.ndarray:
    """(S,) -> (K, 144160): one window per second; short audio is repeated until it fills one."""
    while len(samples) < WINDOW:
        samples = np.concatenate([samples, samples])
    count = int(len(samples) // RATE - SECONDS) + 1
    # Like the package, drop windows whose end (i + 9.01) * 16000 rounds to one sample short.
    starts = [i for i in range(count) if int((i + SECONDS) * RATE) - i * RATE >= WINDOW]
    return np.stack([samples[i * HOP : i * HOP + WINDOW] for i in starts])


def p808_features(samples: np.ndarray) -> np.ndarray:
    """(S,) -> (1 + S // 160, 120) float32: 321-point mel power, (dB below its maximum + 40) / 40."""
    size = 321
    padded = np.pad(samples.astype(np.float64), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    mel = np.maximum(power @ _filters(), 1e-10)
    decibel = 10 * np.log10(mel / mel.max())
    return ((np.maximum(decibel, -80.0) + 40) / 40).astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """(161, 120), Slaney's triangles as in librosa.

    `mel_filters` refuses this configuration, with which the network was trained: the bins, at k * 16000 / 321
    Hz, are so coarse that the lowest filters fall between two of them and are empty.
    """
    edges = slaney_to_hz(np.linspace(0, float(hz_to_slaney(np.array(RATE / 2))), 122))
    slopes = edges[:, None] - (np.arange(161) * RATE / 321)[None]
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).T


def model_paths() -> list[Path] | None:
    """The models in the installed wheel, which is not imported; None if it or onnxruntime is missing."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    spec = importlib.util.find_spec("speechmos")
    for root in (spec.submodule_search_locations or []) if spec else []:
        paths = [Path(root) / name for name in FILES]
        if all(p.is_file() for p in paths):
            return paths
    return None
