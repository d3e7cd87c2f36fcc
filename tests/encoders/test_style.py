"""Style vectors: measured prosody against known signals; CLAP on tiny random weights, published format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from intona.audio import Audio, f0_contour
from intona.encoders import style, styles
from intona.encoders.style import NAMES, ProsodyStyle
from intona.errors import UserError

RATE = 22_050


def voice(
    f0: float, *, beats: float = 4.0, gain: float = 0.3, swing: float = 0.0, seconds: float = 2.0
) -> Audio:
    """A buzz of known pitch, level and number of level peaks a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(f0 * np.exp(swing * np.sin(2 * np.pi * 1.0 * t))) / RATE
    wave = sum(np.sin(k * phase) / k for k in range(1, 12))
    level = 0.55 - 0.45 * np.cos(2 * np.pi * beats * t)
    return Audio((gain * level * wave / 2).astype(np.float32), RATE)


def test_pitch_is_read_within_the_speakers_own_limits() -> None:
    """A tenth of a second three octaves up is seen by one pass and not by two."""
    low, high = voice(90, beats=0), voice(400, beats=0)
    joined = np.concatenate([low.samples[: RATE // 2], high.samples[: RATE // 10], low.samples[RATE // 2 :]])
    audio = Audio(joined, RATE)
    once, twice = f0_contour(audio, 0.01), style.contour_of(audio, 0.01)
    assert once.f0.max() > 380 and twice.f0.max() < 200
    assert twice.median == pytest.approx(once.median, rel=0.01)


def test_measures_are_those_of_the_signal() -> None:
    found = style.measure(voice(180, beats=5))
    assert np.exp(found["pitch"]) == pytest.approx(180, rel=0.02)
    assert found["rate"] == pytest.approx(5, rel=0.25)
    assert found["range"] < 0.03
    assert style.measure(voice(180, swing=0.3))["range"] == pytest.approx(0.3 / np.sqrt(2), rel=0.25)
    quiet, loud = (style.measure(voice(180, gain=g))["energy"] for g in (0.1, 0.4))
    assert loud - quiet == pytest.approx(20 * np.log10(4), abs=0.1)


def test_a_text_moves_the_attribute_that_it_names() -> None:
    encoder = ProsodyStyle()
    n = len(NAMES)
    low = encoder.of_text("low")
    assert low[NAMES.index("pitch")] < 0 and low[n + NAMES.index("pitch")] == 1 and low[n:].sum() == 1
    assert encoder.of_text("very low")[0] < low[0] < encoder.of_text("slightly low")[0] < 0
    assert np.array_equal(encoder.of_text("calm, low, slow"), encoder.of_text("спокойно низко медленно"))
    sound = encoder.of_audio(voice(90))
    assert sound[n:].tolist() == [1] * n and sound[0] < 0 < encoder.of_audio(voice(300))[0]
    assert np.array_equal(sound, encoder.of_audio(voice(90)))


def test_words_and_recordings_are_in_deviations_of_the_scale() -> None:
    scale = {n: (c, s) for n, (c, s) in style.ATTRIBUTES.items()} | {
        "pitch": (5.25, 0.07),
        "rate": (3.4, 0.9),
    }
    encoder = ProsodyStyle(scale)
    k = NAMES.index("pitch")
    plain = dict.fromkeys(NAMES, 0.0) | {n: c for n, (c, _) in scale.items()}
    assert encoder.of_measured(plain)[: len(NAMES)] == pytest.approx(np.zeros(len(NAMES)), abs=1e-5)
    low = encoder.of_measured(plain | {"pitch": 5.25 - 1.2 * 0.07})
    assert low[k] == pytest.approx(encoder.of_text("low")[k], abs=1e-4)
    assert encoder.describe()["scale"]["pitch"] == [5.25, 0.07] != ProsodyStyle().describe()["scale"]["pitch"]
    # What is known of the rate moves lengths: slow and fast about the mean, an average recording not at all.
    assert encoder.rate(encoder.of_text("slow")) == pytest.approx((3.4 - 1.2 * 0.9) / 3.4, rel=1e-4)
    assert encoder.rate(encoder.of_measured(plain)) == pytest.approx(1)
    assert encoder.rate(encoder.of_text("low")) is None
    assert encoder.rate(encoder.of_measured(plain | {"rate": 20.0})) == style.FASTEST


@pytest.mark.parametrize("text", ["", "   ", ",.!"])
def test_an_empty_style(text: str) -> None:
    with pytest.raises(UserError, match="empty style"):
        styles.read(text, ProsodyStyle())


def test_a_style_of_another_language_or_of_no_meaning() -> None:
    with pytest.raises(UserError, match="langsam"):
        ProsodyStyle().of_text("langsam und tief")
    with pytest.raises(UserError, match='did you mean "slow"'):
        ProsodyStyle().of_text("sloww")


@pytest.mark.parametrize(
    ("word", "known"),
    [("angry", "calm"), ("bright", "loud"), ("happy", "excited"), ("adn", "sad"), ("грустный", "печально")],
)
def test_a_style_unlike_any_is_answered_with_those_there_are(word: str, known: str) -> None:
    with pytest.raises(UserError, match=f"; known: .*{known}") as caught:
        ProsodyStyle().of_text(word)
    listed = str(caught.value).partition("known: ")[2].split(", ")
    # Words that carry no style are read, not offered; nor are those of another script.
    assert not {"a", "and", "neutral", "voice", "и", "голос"} & set(listed)
    assert {w.isascii() for w in listed if w != "…"} == {word.isascii()}


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.full(RATE, 0.3), np.zeros(0)])
def test_a_reference_without_speech(samples: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no style in it"):
        ProsodyStyle().of_audio(Audio(samples.astype(np.float32), RATE))


def test_a_silent_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "still.wav"
    Audio(np.zeros(RATE, np.float32), RATE).write(path)
    with pytest.raises(UserError, match=r"still\.wav: no style in it: silent"):
        styles.read(str(path), ProsodyStyle())
    with pytest.raises(UserError, match=r"absent\.wav"):
        styles.read(str(tmp_path / "absent.wav"), ProsodyStyle())


def test_hiss_has_no_voice() -> None:
    hiss = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * 0.1
    with pytest.raises(UserError, match="voiced"):
        ProsodyStyle().of_audio(Audio(hiss, RATE))


def test_unknown_encoders() -> None:
    for name in ("", "clap", "clap:", "whisper"):
        with pytest.raises(UserError, match="unknown style encoder"):
            styles.load(name)
    with pytest.raises(UserError, match="no such directory"):
        styles.load("clap:/nowhere")


# ------------------------------------------------------------------------- CLAP


@pytest.fixture(scope="module")
def clap_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="CLAP needs transformers")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("clap")
    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "calm", "low", "voice", "loud"]
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    config = ClapConfig(
        text_config=dict(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            projection_dim=12,
        ),
        audio_config=dict(
            spec_size=64,
            num_mel_bins=16,
            patch_embeds_hidden_size=8,
            hidden_size=16,
            depths=[1, 1],
            num_attention_heads=[1, 2],
            window_size=4,
            projection_dim=12,
            num_classes=4,
        ),
        projection_dim=12,
    )
    ClapModel(config).save_pretrained(out)
    tokenizer.save_pretrained(out)
    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=125,
        max_length_s=2,
        fft_window_size=256,
        frequency_max=4000,
        truncation="rand_trunc",
    ).save_pretrained(out)
    return out


def test_clap_is_that_of_transformers(clap_directory: Path) -> None:
    import torch
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    from intona.encoders.clap import Clap

    ours = Clap(str(clap_directory))
    model = ClapModel.from_pretrained(clap_directory).eval()
    extractor = ClapFeatureExtractor.from_pretrained(clap_directory)
    tokenizer = AutoTokenizer.from_pretrained(clap_directory)
    audio = voice(150).resample(8000)
    with torch.no_grad():
        out = model(
            **extractor(audio.samples, sampling_rate=8000, return_tensors="pt"),
            **tokenizer("a calm voice", return_tensors="pt"),
        )
    assert np.allclose(ours.of_audio(audio), out.audio_embeds[0].numpy(), atol=1e-5)
    assert np.allclose(ours.of_text("a calm voice"), out.text_embeds[0].numpy(), atol=1e-5)
    assert ours.dim == 12 and np.linalg.norm(ours.of_text("low")) == pytest.approx(1, abs=1e-5)


def test_clap_of_a_long_sound_is_always_the_same(clap_directory: Path) -> None:
    from intona.encoders.clap import Clap, windows

    ours = Clap(str(clap_directory))
    audio = voice(150, seconds=5.3)
    assert np.array_equal(ours.of_audio(audio), ours.of_audio(audio))
    pieces = windows(np.arange(53, dtype=np.float32), 20)
    assert all(len(p) == 20 for p in pieces) and pieces[-1][-1] == 52
    assert set(np.concatenate(pieces)) == set(range(53))
    assert len(windows(np.zeros(20, np.float32), 20)) == 1
    assert len(windows(np.zeros(10_000, np.float32), 20)) == 60


def test_clap_refuses(clap_directory: Path, tmp_path: Path) -> None:
    import shutil

    from intona.encoders.clap import Clap

    ours = Clap(str(clap_directory))
    with pytest.raises(UserError, match="empty style"):
        ours.of_text("  ")
    with pytest.raises(UserError, match="English"):
        ours.of_text("спокойный голос")
    with pytest.raises(UserError, match="silent"):
        ours.of_audio(Audio(np.zeros(8000, np.float32), 8000))
    shutil.copytree(clap_directory, tmp_path / "c")
    (tmp_path / "c" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights"):
        Clap(str(tmp_path / "c"))
    config = json.loads((clap_directory / "config.json").read_text())
    (tmp_path / "c" / "config.json").write_text(json.dumps(config | {"model_type": "clip"}))
    with pytest.raises(UserError, match="not clap"):
        Clap(str(tmp_path / "c"))
