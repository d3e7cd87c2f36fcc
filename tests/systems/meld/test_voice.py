"""Speaking and listening through the whole chain with a model that learnt nothing: equality, refusals."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from intona import cli
from intona.audio import Audio, MelSpec, read_audio
from intona.audio.blocks import read_blocks
from intona.cli import say
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.evaluation import read_manifest
from intona.synth.batch import SetConfig, synthesize_set
from intona.synth.reference import levelled
from intona.synth.voice import Voice
from intona.systems.meld import spelling
from intona.systems.meld import voice as speech_lm
from intona.systems.meld.transcription import windows
from intona.systems.meld.voice import MeldVoice
from intona.text import BpeTokenizer, Lexicon

pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore:.*did not end by itself"),
]


@pytest.fixture(scope="module")
def voice(joint: Path) -> MeldVoice:
    return speech_lm.load(joint)


@pytest.fixture
def lasting(voice: MeldVoice) -> Iterator[MeldVoice]:
    """The same, but it never says <EOS> by itself."""
    eos, bias, head = voice.model.vocabulary.eos, voice.model.trunk.norm.bias, voice.model.head.weight
    before = head[eos].clone(), bias.clone()
    with torch.no_grad():
        bias.fill_(5.0)
        head[eos] = -1.0
    yield voice
    with torch.no_grad():
        head[eos], bias[:] = before


@pytest.fixture(scope="module")
def recording(corpus: Path) -> tuple[Path, str]:
    prepared = Prepared.open(corpus)
    item = min(prepared.items("train"), key=lambda i: i.n_frames)
    return prepared.audio_path(item), item.text


def _cut(voice: MeldVoice, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    monkeypatch.setattr(MeldVoice, "cap", lambda self, spans: steps)


def test_say_is_its_stream_and_a_function_of_the_seed(lasting, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 50)
    # In bf16, which it takes where that is faster, rounding alone differs by more than a seam may.
    monkeypatch.setattr(lasting.vocoder, "bf16", False)
    pieces = [p.samples for p in lasting.stream("Да.", seed=1)]
    assert len(pieces) > 2  # sound leaves before the sentence is finished
    whole = lasting.say("Да.", seed=1).samples
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    _, ids = lasting.pieces("Да.")
    one, other = (torch.cat([g.mel for g in lasting.mels(ids, seed=s)]) for s in (1, 2))
    assert not torch.equal(one, other)
    # The vocoder's chunks join without a seam: as decoded at once.
    at_once = lasting.vocoder.decode(one[None])[0].clamp(-1, 1).numpy()
    np.testing.assert_allclose(whole, at_once, atol=2e-4)


def test_between_chunks_the_caller_s_arithmetic_is_its_own(lasting, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 50)
    monkeypatch.setattr(
        speech_lm, "autocast", lambda device: torch.autocast(device, dtype=torch.bfloat16, enabled=True)
    )
    for _ in lasting.mels([5, 6], chunk=8):
        assert not torch.is_autocast_enabled("cpu")
        assert not torch.is_inference_mode_enabled()


def test_sentences_are_parted_by_a_pause(lasting, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 2)
    audio = lasting.say("Да. Нет.")
    assert len(audio) == 2 * 2 * 2 * 256 + round(0.18 * 22050)


def test_a_cut_at_the_cap_and_a_silence_are_warnings(lasting, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 4)
    with pytest.warns(UserWarning, match=r"did not end by itself; cut after 0\.1 s"):
        audio = lasting.say("Мама мыла раму.")
    assert len(audio) == 4 * 2 * 256
    with torch.no_grad():
        lasting.model.head.weight[lasting.model.vocabulary.eos] = 1.0
    with pytest.warns(UserWarning, match="nothing was spoken"):
        assert lasting.say("Мама мыла раму.").peak == 0


def test_a_reference_is_continued(lasting, recording, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 20)
    path, text = recording
    reference = read_audio(path)
    plain = lasting.say("Мама мыла раму.", seed=3)
    continued = lasting.say("Мама мыла раму.", seed=3, reference=reference, reference_text=text)
    assert not np.array_equal(plain.samples[:2000], continued.samples[:2000])
    assert len(continued) <= 20 * 2 * 256  # the reference itself is not repeated
    # Any rate, channel level and silence around it will do.
    other = Audio(
        np.concatenate([np.zeros(8000, np.float32), 0.1 * reference.resample(16000).samples]), 16000
    )
    assert len(lasting.say("Мама мыла раму.", seed=3, reference=other, reference_text=text)) > 0


def test_the_text_is_placed_at_the_reference_s_own_pace(voice, recording) -> None:
    path, text = recording
    reference = voice.reference(read_audio(path), text)
    _, pieces = voice.pieces("Мама мыла раму.")
    spans = voice.spans(pieces, reference)
    n = len(reference.pieces)
    assert len(spans) == n + len(pieces)
    assert float(spans[:n].sum()) == pytest.approx(len(reference.mel) // 2, rel=1e-3)
    own = float(spans[:n].sum() / voice.model.spans[torch.tensor(reference.pieces)].sum())
    torch.testing.assert_close(spans[n:], own * voice.spans(pieces))
    faster = voice.spans(pieces, reference, 2.0)
    torch.testing.assert_close(faster[:n], spans[:n])
    torch.testing.assert_close(faster[n:], spans[n:] / 2)
    # The cap knows the pace: slower speech may take longer.
    assert voice.cap(voice.spans(pieces, None, 0.25)) > 3 * voice.cap(voice.spans(pieces)) > 0


def test_of_several_tries_the_one_that_ended_and_is_heard_best_is_kept(lasting, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 6)
    _, ids = lasting.pieces("Да.")
    single = [torch.cat([g.mel for g in lasting.mels(ids, seed=4, place=p)]) for p in ("0", "0, try 1")]
    heard, scores = [], iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(speech_lm, "surprise", lambda model, mel, pieces: heard.append(mel) or next(scores))
    best = lasting.best(ids, 3, seed=4)
    assert len(heard) == 3 and not torch.equal(heard[0], heard[1])
    torch.testing.assert_close(heard[0], single[0])
    torch.testing.assert_close(best.mel, single[1])
    # What did not end comes last, however well it is heard.
    scores, drawn = iter([1.0, 2.0]), iter([False, True])
    whole = speech_lm.whole
    monkeypatch.setattr(speech_lm, "whole", lambda c: dataclasses.replace(whole(c), ended=next(drawn)))
    torch.testing.assert_close(lasting.best(ids, 2, seed=4).mel, single[1])


def test_tries_on_the_command_line_and_in_a_set(lasting, joint: Path, tmp_path: Path, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 6)
    tried = lasting.say("Да.", seed=4, tries=3)
    assert len(tried) == 6 * 2 * 256
    pieces = list(lasting.stream("Да.", seed=4, tries=3))
    assert len(pieces) == 1  # a whole sentence: the best is known at its end
    np.testing.assert_array_equal(pieces[0].samples, tried.samples)
    with pytest.raises(UserError, match="--tries: 0 is not between 1 and 100"):
        say.main(["Да.", "--model", str(joint), "--tries", "0", "-o", str(tmp_path / "a.wav")])
    (tmp_path / "m.csv").write_text("a|Да.\n", encoding="utf-8")
    rows = read_manifest(tmp_path / "m.csv")
    synthesize_set(lasting, rows, tmp_path / "set", SetConfig(tries=2))
    synthesize_set(lasting, rows, tmp_path / "one", SetConfig(tries=1))
    assert synthesize_set(lasting, rows, tmp_path / "one", SetConfig()).kept == 1  # said or not
    with pytest.raises(UserError, match="made with another tries"):
        synthesize_set(lasting, rows, tmp_path / "set", SetConfig())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"tries": 0}, "--tries: 0 is not between 1 and 100"),
        ({"text": ""}, "nothing to say"),
        ({"text": "   "}, "nothing to say"),
        ({"text": "漢字"}, "no words|cannot|letter|spoken|knows"),
        ({"reference_text": "без голоса"}, "words without a recording"),
        ({"reference": "short"}, "needs the words in it"),
        ({"reference": "silent", "reference_text": "тихо"}, "silence"),
        (
            {"reference": "long", "reference_text": "очень долго"},
            r"60\.0 s long, at most 2. s fit the model's context",
        ),
        ({"steps": 4}, "--steps: meld voices have no such option; voices that have it: ditto, gradtts"),
        ({"phonemes": True}, "--phonemes: meld voices have no such option"),
        ({"speaker": "nobody"}, 'unknown speaker "nobody"'),
    ],
)
def test_bad_input_has_a_clear_answer(voice, recording, how: dict, message: str) -> None:
    how = {"text": "Да.", **how}
    rate = voice.spec.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.05, 60 * rate).astype(np.float32)
    sounds = {
        "short": read_audio(recording[0]),
        "silent": Audio(np.zeros(rate), rate),
        "long": Audio(noise, rate),
    }
    if "reference" in how:
        how["reference"] = sounds[how["reference"]]
    with pytest.raises(UserError, match=message) as e:
        voice.say(how.pop("text"), **how)
    assert "\n" not in str(e.value)


def test_unknown_characters_are_left_out_and_named(voice) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        said, pieces = voice.pieces("Съешь ещё щ.")  # the small corpus may lack a letter
        known = {ch for i in range(2, len(voice.tokenizer)) for ch in voice.tokenizer.decode([i])[0]}
    missing = {ch for ch in said.lower() if ch not in known and ch != " "}
    assert bool(missing) == any("left out" in str(w.message) for w in seen)
    assert spelling.read(voice.tokenizer, pieces).replace(" ", "") == "".join(
        ch for ch in said.lower() if ch in known
    )


def test_a_voice_of_letters_takes_spellings_and_refuses_phonemes(joint: Path) -> None:
    voice = speech_lm.load(joint)
    with pytest.raises(UserError, match="this voice reads letters, it cannot take"):
        voice.say("Да [[d ˈa]].")
    voice.use_lexicon(Lexicon.parse("nginx = энджин+икс\nда = [[d ˈa]]"))
    with pytest.warns(UserWarning, match="1 words with phonemes in the lexicon are read as written"):
        ((said, _),) = voice.sentences("nginx, да.", "ru")
    assert said == "энджиникс, да."
    with pytest.warns(UserWarning, match='left out: "你。": text: letters that language "ru" does not read'):
        assert [t for t, _ in voice.sentences("Да. 你。 Да.")] == ["Да.", "Да."]


def test_character_frames_are_found_again() -> None:
    """Lengths made from known durations: the fit returns them."""
    rng = np.random.default_rng(0)
    truth = {"а": 9.0, "б": 4.0, "▁": 2.0, ",": 20.0}
    texts = ["".join(rng.choice(list("аб, "), size=60)) for _ in range(300)]
    texts = [" ".join(t.replace(",", " , ").split()) for t in texts]
    texts = [spelling.marked(t) for t in texts]
    frames = [round(sum(truth[c] for c in t.replace(" ", ""))) for t in texts]
    found = spelling.character_frames(texts, frames, ridge=0.1)
    assert found == pytest.approx(truth, abs=0.2)
    tokenizer = BpeTokenizer.train(texts, size=12)
    lengths = spelling.piece_frames(tokenizer, truth)
    ids = spelling.encode(tokenizer, texts[0]).ids
    assert float(lengths[ids].sum()) == pytest.approx(sum(truth[c] for c in texts[0].replace(" ", "")))


# --- listening ---------------------------------------------------------------------------------------


def test_windows_keep_every_sample_and_cut_at_pauses() -> None:
    spec, rate = MelSpec(), 22050
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 10 * rate).astype(np.float32)
    for second in (1.7, 3.5, 5.4, 7.1, 9.0):
        sound[int(second * rate) : int((second + 0.3) * rate)] *= 1e-3
    blocks = [sound[i : i + 7777] for i in range(0, len(sound), 7777)]
    parts = list(windows(blocks, 200, spec))
    assert np.array_equal(np.concatenate(parts), sound)
    assert max(map(len, parts)) <= 200 * 256
    ends = np.cumsum([len(p) for p in parts])[:-1] / rate
    assert len(ends) >= 4
    for end in ends:
        assert min(abs(end - (s + 0.15)) for s in (1.7, 3.5, 5.4, 7.1, 9.0)) < 0.12


def test_a_click_in_the_silence_is_no_speech(voice) -> None:
    """A quiet window with one click is an empty line, not an error that loses the whole file."""
    rate = voice.spec.sample_rate
    sound = np.random.default_rng(0).normal(0, 1e-5, 2 * rate).astype(np.float32)
    sound[rate : rate + 20] = 0.5
    found = list(voice.transcribe(Audio(sound, rate)))
    assert [w.text for w in found] == [""] and found[0].end == pytest.approx(2)


def test_sentences_of_a_model_of_several_speakers_share_a_voice(lasting, monkeypatch) -> None:
    """The second sentence continues the first; with one speaker there is nothing to keep."""
    _cut(lasting, monkeypatch, 8)
    asked = []
    real = MeldVoice.mels
    monkeypatch.setattr(
        MeldVoice, "mels", lambda self, p, **how: asked.append(how["reference"]) or real(self, p, **how)
    )
    lasting.say("Да. Нет.")
    monkeypatch.setattr(lasting, "speakers", ("a", "b"))
    lasting.say("Да. Нет.")
    assert asked[:3] == [None] * 3
    assert len(asked[3].mel) == 8 * 2 and asked[3].pieces == lasting.pieces("Да.")[1]


def test_levelled_is_level_and_trimmed(recording) -> None:
    audio = read_audio(recording[0])
    quiet = Audio(np.pad(audio.samples * 0.05, 22050), 22050)
    out = levelled(quiet)
    assert len(out) < len(quiet) - 40000
    ratio = float(np.sqrt(np.mean(out.samples**2)) / np.sqrt(np.mean(audio.samples**2)))
    assert ratio == pytest.approx(1, rel=0.1)


def test_blocks_are_the_file(recording, tmp_path: Path) -> None:
    path, _ = recording
    whole = read_audio(path, sample_rate=16000).samples
    blocks = np.concatenate(list(read_blocks(path, 16000)))
    assert len(blocks) == len(whole)
    np.testing.assert_allclose(blocks, whole, atol=2e-4)
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(UserError, match="not a sound file"):
        list(read_blocks(tmp_path / "no.wav", 16000))


@pytest.mark.parametrize("minutes", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_an_hour_is_transcribed_in_constant_memory(voice, tmp_path: Path, monkeypatch, minutes: int) -> None:
    """The reading and cutting of an hour; the listening itself is replaced, it sees one window at a time."""
    from intona.systems.meld import Hypothesis, transcription

    rate = 8000
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", rate, 1, subtype="PCM_U8") as f:
        minute = np.random.default_rng(0).normal(0, 0.1, 60 * rate).astype(np.float32)
        for _ in range(minutes):
            f.write(minute)
    seen = []
    monkeypatch.setattr(
        transcription,
        "listen",
        lambda model, mel, **_: seen.append(len(mel)) or Hypothesis(pieces=[], score=0, ended=True),
    )
    monkeypatch.setattr(
        transcription, "log_mel", lambda audio, spec: np.zeros((len(audio.samples) // 256, 80), np.float32)
    )
    tracemalloc.start()
    found = list(voice.transcribe(read_blocks(tmp_path / "hour.wav", voice.spec.sample_rate)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[-1].end == pytest.approx(60 * minutes, abs=0.01)
    assert max(seen) <= voice.longest_frames
    assert peak < 25 << 20  # 5 minutes alone are 26 MB of float32, an hour 318 MB


def test_transcribe_on_the_command_line(voice, joint: Path, recording, tmp_path: Path, capsys) -> None:
    path = str(recording[0])
    assert cli.main(["transcribe", path, "--model", str(joint)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and "s of sound in" in err
    (tmp_path / "bad.wav").write_text("x")
    code = cli.main(
        ["transcribe", path, str(tmp_path / "bad.wav"), "--model", str(joint), "--json", "--beam", "2"]
    )
    out, err = capsys.readouterr()
    assert code == 1 and "bad.wav: not a sound file" in err
    row = json.loads(out)
    assert row["file"] == path and row["seconds"] == pytest.approx(read_audio(path).duration, abs=0.01)
    for arguments, message in (
        ([], "no file"),
        ([path], "meld-ru"),
        ([path, "--model", str(joint), "--beam", "0"], "--beam"),
        ([path, "--model", str(tmp_path / "none")], "none"),
        ([path, "--model", "ru"], "not a speech language model"),
        ([str(tmp_path / "gone.wav"), "--model", str(joint)], "gone.wav"),
    ):
        assert cli.main(["transcribe", *arguments]) == 1
        err = capsys.readouterr().err
        assert message in err and err.startswith("intona: error: ") and "Traceback" not in err


def test_the_two_sides_refuse_what_they_did_not_learn(joint: Path) -> None:
    speaking, hearing = speech_lm.load(joint), speech_lm.load(joint)
    speaking.listens, hearing.speaks = False, False
    with pytest.raises(UserError, match="learnt to speak only"):
        speaking.transcribe(Audio(np.zeros(100), 22050))
    with pytest.raises(UserError, match="learnt to listen only"):
        hearing.say("Да.")
    with pytest.raises(UserError, match="cannot tell which try is best"):
        speaking.say("Да.", tries=2)


def test_four_threads_speak_what_four_calls_do(lasting, joint: Path, recording, monkeypatch, at_once) -> None:
    """A voice that was never used: its vocoder and front end are loaded by whichever thread is first."""
    _cut(lasting, monkeypatch, 12)
    reference, words = read_audio(recording[0]), recording[1]
    options = [
        {"seed": 1, "strict": False},
        {"seed": 2, "tries": 2},
        {"seed": 3, "reference": reference, "reference_text": words},
        {"seed": 4, "rate": 1.5, "temperature": 0.5},
    ]
    serial = [lasting.say("Да. Нет.", **how) for how in options]
    fresh = speech_lm.load(joint)
    fresh.model.load_state_dict(lasting.model.state_dict())
    parallel = at_once([partial(fresh.say, "Да. Нет.", **how) for how in options])
    for a, b in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
    assert not fresh.model.training and isinstance(fresh, Voice)


def test_a_strict_call_refuses_a_sentence_that_is_cut(lasting, monkeypatch) -> None:
    _cut(lasting, monkeypatch, 2)
    with pytest.raises(UserError, match=r"did not end by itself; cut after 0\.0 s"):
        lasting.say("Да.", strict=True)
    assert lasting.say("Да.").duration > 0  # the next call is as strict as it says itself
