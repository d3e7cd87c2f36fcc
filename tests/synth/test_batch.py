"""A manifest spoken in batches: equal to one by one, the same after a kill, failures listed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from intona.audio import Audio, MelSpec
from intona.encoders.plain import PlainEncoderConfig
from intona.errors import UserError
from intona.evaluation import Manifest, Row
from intona.synth.batch import SetConfig, row_seed, synthesize_set
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.voice import BaseVoice, Reading
from intona.systems.gradtts import DecoderConfig, GradTTS, GradTTSConfig
from intona.systems.gradtts.voice import GradTTSVoice
from intona.text import Frontend, FrontendConfig, Lexicon, PhonemeTokenizer, split_sentences
from intona.vocoder import GriffinLim

TEXTS = ("мама мыла раму", "кот", "дом стоит у реки. там тихо", "снег идёт весь день", "да. нет. да", "раз")


@pytest.fixture(scope="module")
def make() -> Callable[..., GradTTSVoice]:
    """`make(kind)`: an untrained voice of two speakers whose output still depends on its text and noise."""
    frontend = Frontend(FrontendConfig(language="ru"))
    symbols = [u.phonemes for text in TEXTS for u in frontend(split_sentences(text, "ru"))]

    def build(kind: str = "convnext1d") -> GradTTSVoice:
        tokenizer = PhonemeTokenizer.build(symbols)
        config = GradTTSConfig(
            n_tokens=len(tokenizer),
            n_speakers=2,
            speaker_dim=8,
            encoder=PlainEncoderConfig(dim=16, layers=1, hidden=16),
            decoder=DecoderConfig(kind=kind, dim=16, depth=1, see_states=True)  # type: ignore[arg-type]
            if kind == "convnext1d"
            else DecoderConfig(kind="unet2d", dim=8, mults=(1, 2)),
            durations="data",
            add_blank=False,
            target="velocity" if kind == "convnext1d" else "noise",
        )
        torch.manual_seed(0)
        model = GradTTS(config)
        with torch.no_grad():
            model.duration.out.bias.fill_(1.5)
            model.prior.bias.fill_(-5.0)
            for p in model.score.parameters():
                p.add_(0.02 * torch.randn_like(p))
        voice = GradTTSVoice(model.eval(), tokenizer, MelSpec(), speakers=("anna", "boris"))
        voice._vocoder, voice._frontends = GriffinLim(MelSpec(), iterations=2), {"ru": frontend}
        return voice

    return build


@pytest.fixture
def manifest() -> Manifest:
    speakers = ("anna", "boris", "someone else")
    rows = [Row(id=f"u{i}", text=t, speaker=speakers[i % 3]) for i, t in enumerate(TEXTS)]
    return Manifest(rows=tuple(rows))


def _wavs(folder: Path) -> dict[str, np.ndarray]:
    return {p.stem: soundfile.read(p)[0] for p in sorted(folder.glob("*.wav"))}


def _reading(voice: GradTTSVoice, row: Row, config: SetConfig) -> Reading:
    speaker = row.speaker if row.speaker in voice.speakers else None
    return voice.read(row.text, config, speaker=speaker, seed=row_seed(config.seed, row.id))


def _mels(voice: GradTTSVoice, rows: list[Row], config: SetConfig) -> list[torch.Tensor]:
    return [m.mel for mels in voice._mels_of([_reading(voice, row, config) for row in rows]) for m in mels]


@pytest.mark.parametrize(
    ("kind", "solver", "steps", "rounding"),
    # Random weights of a U-Net amplify rounding to 5e-4; padding in its group norm moved mels by percents.
    [
        ("convnext1d", "dpm2m", None, 1e-4),
        ("convnext1d", "ancestral", None, 1e-4),
        ("unet2d", "dpm2m", 1, 5e-3),
    ],
)
def test_a_batch_is_its_items_one_by_one(
    make: Callable[..., GradTTSVoice],
    manifest: Manifest,
    kind: str,
    solver: str,
    steps: int | None,
    rounding: float,
) -> None:
    voice, config = make(kind), SetConfig(temperature=1.0, seed=3, solver=solver, steps=steps)
    together = _mels(voice, list(manifest.rows), config)
    alone = [m for row in manifest.rows for m in _mels(voice, [row], config)]
    assert len({len(m) for m in together}) > 2  # the padding is real
    for a, b in zip(together, alone, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=rounding, atol=rounding)


def test_say_with_the_seed_of_the_row_says_the_same(
    make: Callable[..., GradTTSVoice], manifest: Manifest
) -> None:
    voice, config = make(), SetConfig(seed=5)
    for row in manifest.rows[:3]:  # the third has two sentences
        (ours,) = voice.speak_batch([_reading(voice, row, config)])
        speaker = row.speaker if row.speaker in voice.speakers else None
        theirs = voice.say(row.text, speaker=speaker, seed=row_seed(5, row.id))
        assert isinstance(ours, Audio)
        np.testing.assert_allclose(ours.samples, theirs.samples, atol=1e-5)


def test_seed_and_id_decide(make: Callable[..., GradTTSVoice]) -> None:
    voice = make()
    one, two = (Row(id=i, text="мама мыла раму") for i in ("a", "b"))
    config = SetConfig(temperature=1.0)
    a, b = _mels(voice, [one, two], config)
    assert not torch.allclose(a, b)
    assert torch.equal(_mels(voice, [one], config)[0], _mels(voice, [one], config)[0])
    assert not torch.allclose(_mels(voice, [one], SetConfig(temperature=1.0, seed=1))[0], a)


def test_all_rows_are_spoken_and_a_second_call_makes_none(
    make: Callable[..., GradTTSVoice], manifest: Manifest, tmp_path: Path
) -> None:
    voice, seen = make(), []
    spoken = synthesize_set(
        voice, manifest, tmp_path / "a", SetConfig(batch=3), progress=lambda d, n, _: seen.append((d, n))
    )
    assert (spoken.n, spoken.spoken, spoken.kept, spoken.failures) == (6, 6, 0, ())
    assert seen[-1] == (6, 6)
    assert sorted(_wavs(tmp_path / "a")) == [f"u{i}" for i in range(6)]
    assert (tmp_path / "a" / "failures.jsonl").read_text() == ""
    made_by = json.loads((tmp_path / "a" / "made_by.json").read_text())
    assert (made_by["n"], made_by["manifest_sha256"]) == (6, manifest.sha256)
    again = synthesize_set(voice, manifest, tmp_path / "a", SetConfig(batch=3))
    assert (again.spoken, again.kept) == (0, 6)


def test_what_a_kill_left_out_comes_out_the_same(
    make: Callable[..., GradTTSVoice], manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SetConfig(batch=3, temperature=1.0)
    synthesize_set(make(), manifest, tmp_path / "straight", config)
    real, count = Audio.write, 0

    def dies(audio: Audio, path: Path) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        real(audio, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Audio, "write", dies)
        synthesize_set(make(), manifest, tmp_path / "killed", config)
    assert len(_wavs(tmp_path / "killed")) == 3
    synthesize_set(make(), manifest, tmp_path / "killed", config)
    for name in ("straight", "killed"):
        assert not list((tmp_path / name).glob(".*"))
    straight, killed = _wavs(tmp_path / "straight"), _wavs(tmp_path / "killed")
    assert all(np.array_equal(straight[i], killed[i]) for i in straight) and len(killed) == 6


def test_failures_are_listed_and_have_no_file(
    make: Callable[..., GradTTSVoice], manifest: Manifest, tmp_path: Path
) -> None:
    voice = make()
    decode = voice.vocoder.decode

    def breaks(mel: torch.Tensor) -> torch.Tensor:
        samples = decode(mel)
        return samples * float("nan") if samples.shape[1] == longest else samples

    longest = max(decode(m[None]).shape[1] for m in _mels(voice, list(manifest.rows), SetConfig()))
    voice.vocoder.decode = breaks
    spoken = synthesize_set(voice, manifest, tmp_path, SetConfig())
    lines = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [f["id"] for f in lines] == [f.id for f in spoken.failures] and len(lines) >= 1
    assert "not finite" in lines[0]["reason"]
    assert {p.stem for p in tmp_path.glob("*.wav")} == {r.id for r in manifest.rows} - {
        f["id"] for f in lines
    }


def test_a_folder_of_another_make_is_refused(
    make: Callable[..., GradTTSVoice], manifest: Manifest, tmp_path: Path
) -> None:
    voice = make()
    synthesize_set(voice, Manifest(rows=manifest.rows[1:2]), tmp_path / "a")
    with pytest.raises(UserError, match="made with another manifest_sha256"):
        synthesize_set(voice, Manifest(rows=manifest.rows[3:4]), tmp_path / "a")
    with pytest.raises(UserError, match="made with another seed"):
        synthesize_set(voice, Manifest(rows=manifest.rows[1:2]), tmp_path / "a", SetConfig(seed=1))
    with torch.no_grad():
        next(voice.model.parameters()).add_(1)
    with pytest.raises(UserError, match="made with another voice"):
        synthesize_set(voice, Manifest(rows=manifest.rows[1:2]), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.wav").write_bytes(b"")
    with pytest.raises(UserError, match="unknown origin"):
        synthesize_set(voice, manifest, tmp_path / "b")


def test_a_folder_of_an_earlier_version_is_continued(
    make: Callable[..., GradTTSVoice], manifest: Manifest, tmp_path: Path
) -> None:
    """A setting that it does not record had its default. A setting that is unknown now is another set."""
    voice, rows = make(), Manifest(rows=manifest.rows[1:2])
    synthesize_set(voice, rows, tmp_path)
    record = json.loads((tmp_path / "made_by.json").read_text())
    keys = "voice n manifest_sha256 seed solver rate speaker batch steps guidance temperature tries language"
    assert record.keys() == {*keys.split(), "lexicon", "prompts", "lengths", "languages", "vocoder"}
    del record["vocoder"]
    (tmp_path / "made_by.json").write_text(json.dumps(record))
    assert synthesize_set(voice, rows, tmp_path).kept == 1
    (tmp_path / "made_by.json").write_text(json.dumps({**record, "style": "calm"}))
    with pytest.raises(UserError, match="made with another style"):
        synthesize_set(voice, rows, tmp_path)


def test_a_folder_of_another_lexicon_is_refused(
    make: Callable[..., GradTTSVoice], manifest: Manifest, tmp_path: Path
) -> None:
    voice, rows = make(), Manifest(rows=manifest.rows[1:2])
    synthesize_set(voice, rows, tmp_path / "a")
    plain = _wavs(tmp_path / "a")["u1"]
    voice.use_lexicon(Lexicon.parse("кот = [[r ˈa s]]"))
    with pytest.raises(UserError, match="made with another lexicon"):
        synthesize_set(voice, rows, tmp_path / "a")
    synthesize_set(voice, rows, tmp_path / "b")
    assert len(_wavs(tmp_path / "b")["u1"]) != len(plain) or not np.array_equal(
        _wavs(tmp_path / "b")["u1"], plain
    )


def test_a_warning_names_its_row(
    make: Callable[..., GradTTSVoice], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    rows = tuple(Row(id=i, text=t) for i, t in (("a", "кот. 你。"), ("b", "кот. 你。"), ("c", "[[θ]]")))
    spoken = synthesize_set(make(), Manifest(rows=rows), tmp_path)
    assert spoken.spoken == 2
    assert [f.reason.split(";")[0] for f in spoken.failures] == ['[[θ]]: unknown phoneme "θ"']
    told = [str(w.message) for w in recwarn if "left out" in str(w.message)]
    assert [t.split(":")[0] for t in told] == ["a", "b"]


def test_a_voice_of_another_kind_is_spoken_one_by_one(manifest: Manifest, tmp_path: Path) -> None:
    class Other(BaseVoice):
        capabilities = Capabilities(system="other", options=frozenset({"rate"}))
        sample_rate = 16_000

        def speak_text(self, text: str, options: SpeakOptions) -> Audio:
            if text == "кот":
                raise UserError("cannot say this")
            assert options.changed.keys() == {"seed"}
            noise = np.random.default_rng(options.seed % 2**32).normal(size=4000)
            return Audio((0.1 * noise).clip(-1, 1).astype(np.float32), 16_000)

    voice = Other()
    spoken = synthesize_set(voice, manifest, tmp_path)
    assert (spoken.spoken, [f.id for f in spoken.failures]) == (5, ["u1"])
    before = _wavs(tmp_path)
    (tmp_path / "u3.wav").unlink()
    assert synthesize_set(voice, manifest, tmp_path).spoken == 1
    assert np.array_equal(_wavs(tmp_path)["u3"], before["u3"])


def test_a_voice_of_several_languages_reads_each_text_as_its_own(
    make: Callable[..., GradTTSVoice], tmp_path: Path
) -> None:
    """The script tells Russian; English and Spanish share one, and the row or the call says which."""
    voice = make()
    voice.languages = ("en", "es", "ru")
    voice.tokenizer.frontend = {
        "languages": {n: Frontend(FrontendConfig(language=n)).describe() for n in voice.languages}
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the front ends are those of the training
        spoken = {n: voice.sentences("no", language=n)[0].phonemes for n in ("en", "es")}
    assert spoken["en"] == ("n", "ˈoʊ") and spoken["es"][0] == "n" and spoken["es"] != spoken["en"]
    assert voice.sentences("кот")[0].phonemes == ("k", "ˈo", "t")
    with pytest.raises(UserError, match="--language en"):
        voice.say("no")
    rows = (Row(id="a", text="no"), Row(id="b", text="no"), Row(id="c", text="кот"))
    asked = {"a": "en", "b": "es"}
    with pytest.warns(UserWarning, match="not trained on"):  # the small tokenizer lacks their symbols
        done = synthesize_set(voice, Manifest(rows=rows), tmp_path / "set", languages=asked)
    assert done.spoken == 3
    done = synthesize_set(voice, Manifest(rows=rows), tmp_path / "lost")
    assert [f.id for f in done.failures] == ["a", "b"] and "choose one" in done.failures[0].reason
    with pytest.raises(UserError, match="another languages"):
        synthesize_set(voice, Manifest(rows=rows), tmp_path / "set")
