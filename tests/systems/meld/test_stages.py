"""The stages on real speech: codebook, exact resume in each, presets and arms, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from intona import checkpoint, systems
from intona import config as configs
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.systems.meld import codebook as codebooks
from intona.systems.meld import lm, presets
from intona.systems.meld.feed import Corpus, SpeechFeed
from intona.systems.meld.pace import Pace

from .conftest import FAST

pytestmark = pytest.mark.trains


def _hashes(checkpoint_dir: Path) -> dict[str, str]:
    index = json.loads((checkpoint_dir / "files.json").read_text())
    return {k: v["sha256"] for k, v in index.items() if k != "provenance.json"}


class _Killed(BaseException):
    pass


def test_codebook_lives_in_the_corpus(corpus: Path, codebook: Path) -> None:
    found = codebooks.load(codebook)
    prepared = Prepared.open(corpus)
    assert found.codebook.centroids.shape == (32, 160)
    report = configs.read_json(checkpoint.resolve(codebook) / "report.json")
    assert report["perplexity_of_q"] == pytest.approx(5, rel=0.01)
    assert report["codes_used"] == 32
    # 32 codes of real frames must say much more than their mean does.
    assert report["variance_explained"] > 0.5
    mel = torch.from_numpy(prepared.mel(prepared.items("dev")[0]))
    x = ((mel - found.mean) / found.std)[: len(mel) // 2 * 2].reshape(-1, 160)
    d = found.codebook.distances(x).min(-1).values.mean()
    assert float(d) < 0.8 * float(x.square().sum(-1).mean())  # dev frames as well


def test_codebook_resumes_exactly(corpus: Path, codebook: Path, tmp_path: Path, monkeypatch) -> None:
    real, calls = codebooks.KMeans.step, 0

    def dying(self):
        nonlocal calls
        calls += 1
        if calls == 55:
            raise _Killed
        real(self)

    with monkeypatch.context() as m:
        m.setattr(codebooks.KMeans, "step", dying)
        with pytest.raises(_Killed):
            systems.train("meld.codebook", size="toy", data=corpus, out=tmp_path)
    with pytest.raises(UserError, match="not finished"):
        codebooks.load(tmp_path)
    systems.train("meld.codebook", size="toy", data=corpus, out=tmp_path)
    assert _hashes(checkpoint.resolve(tmp_path)) == _hashes(checkpoint.resolve(codebook))
    with pytest.raises(UserError, match="codes: 32 -> 16"):
        systems.train("meld.codebook", size="toy", data=corpus, out=tmp_path, overrides={"codes": "16"})


def test_too_many_codes_for_the_corpus(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most"):
        systems.train("meld.codebook", size="paper", data=corpus, out=tmp_path)


@pytest.mark.parametrize("stage", ["meld.tts", "meld.stt", "meld.joint"])
def test_killed_and_resumed_is_bit_equal(
    stage: str, corpus: Path, codebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {**FAST, "loop.steps": "4", "loop.save_every": "2", "codebook": str(codebook)}
    how |= {"loop.validate_every": "1"}
    how |= {"listen_from": "2", "joined": "0"} if stage == "meld.joint" else {}
    systems.train(stage, size="toy", data=corpus, out=tmp_path / "straight", overrides=how)
    real = lm.MeldTask.forward

    def dying(self, batch, step):
        if step == 3:
            raise _Killed
        return real(self, batch, step)

    with monkeypatch.context() as m:
        m.setattr(lm.MeldTask, "forward", dying)
        with pytest.raises(_Killed):
            systems.train(stage, size="toy", data=corpus, out=tmp_path / "killed", overrides=how)
    assert checkpoint.steps(tmp_path / "killed") == [0, 2]
    systems.train(stage, size="toy", data=corpus, out=tmp_path / "killed", overrides=how)
    ends = [_hashes(tmp_path / run / "step-00000004") for run in ("straight", "killed")]
    assert ends[0] == ends[1]
    best = [
        configs.read_json(checkpoint.resolve(tmp_path / r / "best") / "best.json")
        for r in ("straight", "killed")
    ]
    assert best[0] == best[1]
    lines = [json.loads(x) for x in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    trained = [x for x in lines if x["kind"] == "train"]
    judged = {
        x["step"]: sum(x[k] for k in best[0]["measure"].split("+")) for x in lines if x["kind"] == "dev_ema"
    }
    assert len(judged) == 5 and best[0]["step"] == min(judged, key=lambda s: judged[s])
    assert best[0]["value"] == pytest.approx(min(judged.values()))
    assert [x["step"] for x in trained] == [1, 2, 3, 4]
    assert ("kl" in trained[0]) == (stage != "meld.stt")
    assert ("text" in trained[0]) == (stage != "meld.tts")
    if stage == "meld.joint":  # speaking only at first, and both ways on the dev set
        assert trained[0]["text"] == trained[1]["text"] == 0
        assert trained[2]["text"] + trained[3]["text"] > 0
        assert next(x for x in lines if x["kind"] == "dev_raw")["text"] > 0


def test_a_stage_goes_on_from_another(corpus: Path, joint: Path, tmp_path: Path) -> None:
    how = {k: v for k, v in FAST.items() if not k.startswith("model.")} | {"loop.steps": "1"}
    path = systems.train("meld.stt", size="toy", data=corpus, out=tmp_path, overrides=how, init=joint)
    config = configs.read_json(path / "config.json")
    assert config["init"].startswith("step-00000003:")
    assert config["model"]["layers"] == 1  # the source's, where toy has two
    start = checkpoint.read_tensors(tmp_path / "step-00000000" / "model.safetensors")
    source = checkpoint.read_tensors(checkpoint.resolve(joint) / "ema.safetensors")
    assert all(torch.equal(start[k], v) for k, v in source.items())
    # What listening does not use is not trained.
    after = checkpoint.read_tensors(path / "model.safetensors")
    assert torch.equal(
        after["model.reconstruction.outlet.weight"], source["model.reconstruction.outlet.weight"]
    )
    assert not torch.equal(after["model.head.weight"], source["model.head.weight"])


@pytest.mark.parametrize("arm", [a for a in presets.ARMS if a])
def test_every_arm_trains(arm: str, corpus: Path, codebook: Path) -> None:
    config = presets.resolve("meld.tts", presets.SIZES["toy"](), {"arm": arm, "model.layers": "1"})
    plain = presets.resolve("meld.tts", presets.SIZES["toy"](), {"model.layers": "1"})
    assert configs.diff(plain, config) and config.arm == arm
    prepared = Prepared.open(corpus)
    tokenizer = lm._tokenizer(None, config, prepared)
    import dataclasses

    config = dataclasses.replace(config, model=dataclasses.replace(config.model, n_text=len(tokenizer)))
    # One soft codebook for all: an arm makes of it what it needs.
    found = codebooks.load(codebook) if config.model.codes == 32 else None
    task = lm.MeldTask(config, prepared, Pace.of(prepared, tokenizer, config.pace), found)
    if found is None:
        task.model.codebook.centroids.normal_()
    corpus_ = Corpus(prepared, "dev", tokenizer, group=2, context=2048)
    losses = task(corpus_.batch([0]), 0)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    hard = arm in ("mel-lm", "hard-vq", "codes", "codec")
    assert (float(losses.parts["entropy"].mean) == 0) == hard
    if arm == "no-slowness":
        assert losses.parts["slowness"].weight == 0
    if arm in ("mel-lm", "zero-code"):  # the code must not be heard
        model, x = task.model.eval(), torch.randn(1, 1, 64)
        heard = [
            model.reconstruction(torch.tensor([[z]]), x, model.codebook.centroids)
            for z in (0, config.model.codes - 1)
        ]
        assert torch.equal(*heard)


def test_presets_and_refusals(corpus: Path, codebook: Path, tmp_path: Path) -> None:
    for stage in ("meld.tts", "meld.stt", "meld.joint"):
        with pytest.raises(UserError, match='did you mean "small"'):
            systems.train(stage, size="smal", data=corpus, out=tmp_path)
    paper = presets.paper()
    assert paper.model.group == 1 and paper.model.positions == "sequence" and paper.pace == "none"
    assert paper.model.reconstruction_weight == 1
    assert paper.model.centroid_inputs == paper.model.dropped_inputs == paper.pace_noise == 0
    with pytest.raises(UserError, match="needs text placed in time"):
        presets.resolve("meld.tts", presets.toy(), {"model.positions": "sequence"})
    with pytest.raises(UserError, match='unknown arm "hard"'):
        presets.resolve("meld.tts", presets.toy(), {"arm": "hard"})
    with pytest.raises(UserError, match="32 codes of 2 frames, and the model needs 16 of 2"):
        how = {**FAST, "model.codes": "16", "codebook": str(codebook)}
        systems.train("meld.tts", size="toy", data=corpus, out=tmp_path / "a", overrides=how)
    with pytest.raises(UserError, match="context is 64"):
        how = {**FAST, "model.context": "64", "codebook": str(codebook)}
        systems.train("meld.tts", size="toy", data=corpus, out=tmp_path / "b", overrides=how)
    with pytest.raises(UserError, match="--init"):
        systems.train("meld.codebook", size="toy", data=corpus, out=tmp_path / "c", init=codebook)


def test_a_batch_holds_what_the_corpus_holds(corpus: Path) -> None:
    from intona.systems.meld import spelling

    prepared = Prepared.open(corpus)
    tokenizer = lm._tokenizer(None, presets.toy(), prepared)
    train = Corpus(prepared, "train", tokenizer, group=2, context=2048)
    batch = train.batch([0, 1])
    for i in range(2):
        item = prepared[batch.ids[i]]
        n = int(batch.text_lengths[i])
        said = spelling.read(tokenizer, batch.text[i, :n].tolist())
        assert spelling.marked(said) == spelling.marked(item.normalized)
        torch.testing.assert_close(batch.mels[i, : item.n_frames], torch.from_numpy(prepared.mel(item)))
    one = batch.rows(torch.tensor([False, True]))
    assert one.ids == [batch.ids[1]] and one.mels.shape[1] == prepared[one.ids[0]].n_frames
    feed = SpeechFeed(train, None, max_positions=700, seed=0, rank=0, world=1)
    assert sorted(i for _ in range(feed._sampler.steps_in_epoch()) for i in feed.next().ids) == sorted(
        i.id for i in prepared.items("train")
    )
