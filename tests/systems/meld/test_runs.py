"""What a run makes of its flags: temperature, when it listens, what is joined or only heard, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from intona import checkpoint, systems
from intona import config as configs
from intona.data.merge import merge
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.systems.meld import codebook as codebooks
from intona.systems.meld import lm, presets
from intona.systems.meld import voice as speech_lm
from intona.systems.meld.feed import Corpus, SpeechFeed

from .conftest import FAST, SMALL

pytestmark = pytest.mark.trains


def _start(stage: str, corpus: Path, out: Path, flags: dict[str, str], init: Path | None = None) -> Path:
    how = {**FAST, "loop.steps": "1", **flags}
    return systems.train(stage, size="toy", data=corpus, out=out, overrides=how, init=init)


def _tau(run: Path) -> float:
    state = checkpoint.read_tensors(checkpoint.resolve(run) / "model.safetensors")
    return float(state["model.codebook.tau"])


def test_the_perplexity_asked_for_is_the_one_trained_with(corpus, codebook, joint, tmp_path: Path) -> None:
    """Whether the codebook was made before or comes with --init: a hard arm has no temperature."""
    soft = _tau(joint)
    assert soft > 0
    hard = _start("meld.tts", corpus, tmp_path / "a", {"codebook": str(codebook), "arm": "hard-vq"})
    assert _tau(hard) == 0
    after = _start("meld.tts", corpus, tmp_path / "b", {"arm": "hard-vq"}, joint)
    assert _tau(after) == 0
    wider = _start("meld.tts", corpus, tmp_path / "c", {"perplexity": "8"}, joint)
    assert _tau(wider) > 1.2 * soft
    same = _start("meld.tts", corpus, tmp_path / "d", {}, joint)
    assert _tau(same) == soft


def test_it_listens_after_a_share_of_its_own_steps(corpus, codebook, tmp_path: Path) -> None:
    flags = {"codebook": str(codebook), "loop.steps": "5", "loop.save_every": "1", "loop.keep": "9"}
    path = _start("meld.joint", corpus, tmp_path, flags)
    assert configs.read_json(path / "config.json")["listen_from"] == 2
    listens = [speech_lm.load(tmp_path / f"step-{n:08d}").listens for n in (0, 2, 3, 5)]
    assert listens == [False, False, True, True]
    # More steps are the same run: what was decided stays.
    path = _start("meld.joint", corpus, tmp_path, {**flags, "loop.steps": "6"})
    assert configs.read_json(path / "config.json")["listen_from"] == 2
    with pytest.raises(UserError, match="listening would begin at step 7 of 6: never"):
        _start("meld.joint", corpus, tmp_path / "x", {**flags, "loop.steps": "6", "listen_from": "7"})


def test_checkpoints_of_before_are_refused_in_one_line(joint: Path, tmp_path: Path) -> None:
    import shutil

    old = shutil.copytree(checkpoint.resolve(joint), tmp_path / "old")
    voices = configs.read_json(old / "voices.json")
    del voices["listens"]
    configs.write_json(old / "voices.json", voices)
    files = [str(p.relative_to(old)) for p in old.rglob("*") if p.is_file()]
    checkpoint.write_index(old, [f for f in files if f != checkpoint.INDEX])
    with pytest.raises(UserError, match="made by an earlier version"):
        speech_lm.load(old)


def test_the_best_weights_are_a_model_of_their_own(corpus, codebook, tmp_path: Path) -> None:
    flags = {"codebook": str(codebook), "loop.steps": "2", "loop.validate_every": "1"}
    path = _start("meld.tts", corpus, tmp_path / "run", flags)
    best = checkpoint.resolve(tmp_path / "run" / "best")
    assert speech_lm.load(tmp_path / "run" / "best").path == best
    if best.name == path.name:  # what was judged is what is kept: the average
        kept = checkpoint.read_tensors(best / "model.safetensors")
        averaged = checkpoint.read_tensors(path / "ema.safetensors")
        assert all(torch.equal(kept[k], v) for k, v in averaged.items())
    shipped = checkpoint.publish(tmp_path / "run" / "best", tmp_path / "shipped", card={"name": "x"})
    assert speech_lm.load(shipped).speaks
    with pytest.raises(UserError, match='no dev loss "kll"'):
        _start("meld.tts", corpus, tmp_path / "x", {**flags, "loop.best": "kll"})


def _corpus(corpus: Path, **how) -> Corpus:
    prepared = Prepared.open(corpus)
    tokenizer = lm._tokenizer(None, presets.toy(), prepared)
    return Corpus(prepared, "train", tokenizer, group=2, **{"context": 2048, **how})


def test_joined_utterances_are_two_of_one_speaker(corpus: Path) -> None:
    alone, joined = _corpus(corpus), _corpus(corpus, joined=1.0)
    assert all(len(e) == 1 for e in alone.entries)
    pairs = [k for k, e in enumerate(joined.entries) if len(e) == 2]
    assert len(pairs) == len(alone.items) and max(joined.lengths) <= 1024
    assert max(_corpus(corpus, joined=1.0, longest=500).lengths) <= max(500, *alone.lengths)
    assert sorted(e[0] for e in joined.entries) == list(range(len(alone.items)))
    k = pairs[0]
    i, j = joined.entries[k]
    batch = joined.batch([k])
    first, second = alone.batch([i]), alone.batch([j])
    assert torch.equal(batch.text[0], torch.cat([first.text[0], second.text[0]]))
    assert torch.equal(batch.mels[0], torch.cat([first.mels[0], second.mels[0]]))
    assert batch.ids == [f"{first.ids[0]}+{second.ids[0]}"]
    assert (
        joined.lengths[k]
        == batch.text.shape[1] + 1 + joined.items[i].n_frames // 2 + joined.items[j].n_frames // 2
    )
    assert _corpus(corpus, joined=1.0).entries == joined.entries  # a resume sees the same


def test_a_speaker_who_is_only_heard_is_not_spoken(corpus: Path) -> None:
    prepared = Prepared.open(corpus)
    config = presets.resolve("meld.joint", presets.toy(), {"model.layers": "1", "listen": "0.5"})
    tokenizer = lm._tokenizer(None, config, prepared)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, n_text=len(tokenizer)))
    task = lm.MeldTask(config, prepared, lm.Pace.of(prepared, tokenizer, config.pace), None)
    task.model.codebook.centroids.normal_()
    batch = _corpus(corpus, transcribe_only={0}).batch([0, 1])
    for step in (0, 1, 2, -2):  # in training and on the dev set
        parts = task(batch, step).parts
        assert float(parts["kl"].count) == 0 < float(parts["text"].count)
    name = prepared.speakers[0]
    assert lm._transcribe_only(dataclasses.replace(config, only_heard=name), prepared) == {0}
    with pytest.raises(UserError, match="unknown speaker"):
        lm._transcribe_only(dataclasses.replace(config, only_heard="nobody"), prepared)
    with pytest.raises(UserError, match="does not listen"):
        lm._transcribe_only(dataclasses.replace(config, only_heard=name, listen=0.0), prepared)


def test_a_codebook_has_no_frames_of_who_is_only_heard(corpus: Path, tmp_path: Path) -> None:
    how = PrepareConfig(language="ru", phonemes="corpus", dev=1, test=1, workers=0, limit=5, speaker="talk01")
    prepare("festvox", SMALL, tmp_path / "talk", how)
    merge([corpus, tmp_path / "talk"], tmp_path / "both")
    one, prepared = Prepared.open(corpus), Prepared.open(tmp_path / "both")
    assert len(prepared.items("train")) == len(one.items("train")) + 3
    steps = codebooks.Steps(
        prepared, 2, *codebooks.statistics(one), without=codebooks.speakers_named("talk*", prepared, where="")
    )
    alone = codebooks.Steps(one, 2, *codebooks.statistics(one))
    assert len(steps) == len(alone)
    x, y = (s(500, torch.Generator().manual_seed(0)) for s in (steps, alone))
    assert torch.equal(x, y)
    with pytest.raises(UserError, match="no utterance of the speakers who are left"):
        codebooks.Steps(prepared, 2, *codebooks.statistics(one), without={0, 1})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"perplexity": "0.5"}, "between 1 and the number of codes"),
        ({"perplexity": "32"}, "between 1 and the number of codes"),
        ({"bpe": "-1"}, "bpe is -1"),
        ({"pace_noise": "2"}, "between 0 and 1 second"),
        ({"listen": "2"}, "between 0 and 1"),
        ({"joined": "-1"}, "between 0 and 1"),
        ({"pace": "fast"}, "pace"),
        ({"model.positions": "sequence"}, "needs text placed in time"),
        ({"model.dropped_inputs": "1"}, "dropped_inputs"),
    ],
)
def test_numbers_that_make_no_run_are_named(flags: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as e:
        presets.resolve("meld.tts", presets.toy(), flags)
    assert "bug" not in str(e.value)


def test_what_is_too_long_is_told_with_its_flag(corpus: Path) -> None:
    longest = max(_corpus(corpus).lengths)
    with pytest.raises(UserError, match=r"raise --model\.context to ") as e:
        _corpus(corpus, context=longest - 1)
    # Speech may take twice as long before it is cut: the advice leaves room for it.
    assert int(str(e.value).split("--model.context to ")[1].split(",")[0]) > 1.5 * longest
    with pytest.raises(UserError, match=f"--max-positions.*at least {longest}"):
        SpeechFeed(_corpus(corpus), None, max_positions=longest - 1, seed=0, rank=0, world=1)


def test_a_set_that_failed_in_every_row_is_a_result(tmp_path: Path) -> None:
    """A young model may end no sentence by itself: it is judged, each row as failed."""
    from intona.evaluation.manifest import Manifest, Row
    from intona.evaluation.wavs import index_folder

    manifest = Manifest(rows=(Row(id="a", text="да"),))
    with pytest.raises(UserError, match="holds no audio file"):
        index_folder(tmp_path, manifest)
    (tmp_path / "failures.jsonl").write_text('{"id": "a", "reason": "did not end by itself"}\n')
    assert index_folder(tmp_path, manifest) == ({}, [])
