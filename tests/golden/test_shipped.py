"""What each shipped model produces for a fixed input and seed, as a small picture: golden/shipped/*.npz.

A picture is a log mel (or the states of an encoder), averaged over blocks of frames and bins. Names and
shapes of the weights are in golden/keys/shipped-*.txt.

Tolerances. On one machine the tests ran natively (AVX-512, AMX), with ATEN_CPU_CAPABILITY=default and
avx2, with oneDNN, MKL and NumPy limited to SSE4, and with two threads: shapes were equal, correlations
above .99999, and the mean difference was .0005 standard deviations, which is the rounding of the stored
float16. Allowed are .999 and .005. With the vocoder in bf16 the difference was .012 to .018, so the tests
use float32 everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import intona
from intona import encoders, models
from intona.audio import Audio, MelSpec, log_mel, read_audio
from intona.data.pieces import collate_pieces, collate_tokens, text_of
from intona.encoders import pretrained
from intona.text import Frontend, FrontendConfig, Utterance
from intona.text.frontend import Word
from intona.vocoder import load_vocoder

from .store import HERE, compare_keys, compare_picture, keys_of

WORDS = "Добрый день."
PHONEMES = "d ˈo b r ɨ j | dʲ ˈe nʲ ."
SPOKEN: dict[str, dict[str, Any]] = {
    "ru-en": {"text": PHONEMES, "phonemes": True, "language": "ru", "speaker": "festvox-ru"},
    "ditto": {"text": PHONEMES, "phonemes": True},
    "meld-ru": {"text": WORDS},
}
FRAMES, BINS = 4, 4
# A draft is trained on, and no voice uses it. tests/text/test_accents.py guards the model of stress.
SHIPPED = sorted(
    c.name for c in models.shipped(aliases=False) if not c.name.endswith("-draft") and c.kind != "stress"
)


def picture(values: np.ndarray, frames: int = FRAMES, bins: int = BINS) -> np.ndarray:
    """(T, D) averaged over blocks, the last of which may be short."""
    rows = np.add.reduceat(values, np.arange(0, len(values), frames)) / frames
    return np.add.reduceat(rows, np.arange(0, values.shape[1], bins), axis=1) / bins


def of_audio(audio: Audio) -> np.ndarray:
    return picture(log_mel(audio, MelSpec()))


def test_every_shipped_model_is_stored() -> None:
    assert set(SHIPPED) == {*SPOKEN, "prosody-ru", "hifigan"}
    assert {path.stem for path in (HERE / "shipped").iterdir()} == set(SHIPPED)
    assert {path.stem for path in (HERE / "keys").glob("shipped-*")} == {f"shipped-{n}" for n in SHIPPED}


@pytest.mark.parametrize("name", SHIPPED)
def test_names_and_shapes_of_weights_are_unchanged(name: str, reason: str) -> None:
    compare_keys(f"shipped-{name}", keys_of(models.find(name) / "model.safetensors"), reason)


@pytest.mark.parametrize("name", SPOKEN)
def test_speech_is_unchanged(name: str, reason: str) -> None:
    audio = intona.load(name).say(**SPOKEN[name], seed=1)
    compare_picture(name, of_audio(audio), reason)


def test_states_of_the_encoder_are_unchanged(reason: str) -> None:
    run = models.find("prosody-ru")
    line = Frontend(FrontendConfig(language="ru", stress="none")).from_phonemes(PHONEMES)
    words = tuple(Word(w, p.start, p.end) for w, p in zip(("добрый", "день"), line.words, strict=True))
    utterance = Utterance(text=WORDS, normalized=WORDS.lower(), phonemes=line.phonemes, words=words)
    ids = pretrained.phonemes(run).encode(utterance.phonemes).ids
    texts = [text_of(utterance, ids, pretrained.pieces(run))]
    with torch.inference_mode():
        states, _ = encoders.load(run)(*collate_tokens(texts), None, collate_pieces(texts))
    compare_picture("prosody-ru", picture(states[0].numpy(), frames=1), reason)


def test_sound_of_the_vocoder_is_unchanged(root: Path, reason: str) -> None:
    recording = read_audio(root / "tests/assets/festvox-ru-small/wav/ru_0254.wav", sample_rate=22050)
    mel = log_mel(recording, MelSpec())[20:60]
    compare_picture("hifigan", of_audio(load_vocoder("hifigan").speak(mel, MelSpec())), reason)
