"""Stage vocoder.vocos: targets that a kill does not spoil, segments, a run that resumes to the bit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import checkpoint, cli, models, systems
from intona.audio import Audio, MelSpec, log_mel, read_audio
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.systems.vocoder import discriminators as D
from intona.systems.vocoder import targets as T
from intona.systems.vocoder import vocos as stage
from intona.systems.vocoder.feed import SegmentFeed
from intona.systems.vocoder.run import DEMO_CLIPS
from intona.vocoder import GriffinLim, load_vocoder
from intona.vocoder.source import analyse

pytestmark = pytest.mark.trains

FEW = {
    "loop.steps": "4",
    "loop.save_every": "4",
    "loop.validate_every": "4",
    "loop.precision": "fp32",
    "teacher": "0.5",
}
CONFIG = T.TargetsConfig(recorded_minutes=0.2)  # as in conftest.py
Fill = Callable[..., Path]


@pytest.fixture(scope="module")
def run(targets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(targets, tmp_path_factory.mktemp("vocos") / "run").parent


def train(data: Path, out: Path, init: Path | None = None, **more: str) -> Path:
    return systems.train("vocoder.vocos", size="toy", data=data, out=out, overrides=FEW | more, init=init)


def test_dev_comes_first_as_it_was_recorded(spoken: Path, targets: Path) -> None:
    prepared, read = Prepared.open(spoken), T.Targets(targets)
    dev = prepared.items("dev")
    assert [c.id for c in read.split("dev")] == [f"{i.id}#0" for i in dev]
    clip = read.split("dev")[0]
    audio = read_audio(prepared.audio_path(dev[0]))
    mel = read.mel(clip, 0, clip.n_frames)
    assert np.abs(mel - log_mel(audio, prepared.spec)).max() < 0.01
    samples = read.samples(clip, "recording", 0, clip.n_frames, 0)
    assert np.abs(samples - audio.samples[: len(samples)]).max() < 1e-3
    assert {c.id.split("#")[0] for c in read.split("train")} <= {i.id for i in prepared.items("train")}


def test_the_teachers_sound_is_made_of_the_mel_that_is_kept(targets: Path) -> None:
    read = T.Targets(targets)
    clip = next(c for c in read.split("train") if c.teacher)
    mel = read.mel(clip, 0, clip.n_frames)
    expected = GriffinLim(MelSpec(), iterations=1).decode(torch.from_numpy(mel)[None])[0].numpy()
    got = read.samples(clip, "teacher", 0, clip.n_frames, 0)
    assert np.abs(got - expected).max() < 1e-3
    bare = next(c for c in read.split("train") if not c.teacher)
    assert not read.samples(bare, "teacher", 0, bare.n_frames, 0).any()
    assert read.samples(bare, "recording", 0, bare.n_frames, 0).any()


def test_a_margin_reads_on_and_ends_in_zeros(targets: Path) -> None:
    read = T.Targets(targets)
    clip = read.clips[1]
    whole = read.samples(clip, "recording", 0, clip.n_frames, 0)
    part = read.samples(clip, "recording", 2, 3, 100)
    assert np.array_equal(part, whole[2 * 256 - 100 : 5 * 256 + 100])
    edge = read.samples(clip, "recording", 0, 2, 384)
    assert not edge[:384].any() and np.array_equal(edge[384:], whole[: 2 * 256 + 384])


def test_more_minutes_add_and_a_kill_costs_one_clip(
    spoken: Path, targets: Path, tmp_path: Path, fill: Fill
) -> None:
    copy = Path(shutil.copytree(targets, tmp_path / "t"))
    for name in T.FILES.values():  # a clip half written, its line torn
        with open(copy / name, "ab") as f:
            f.write(b"\1" * 77)
    lines = (copy / T.CLIPS).read_text().splitlines()
    (copy / T.CLIPS).write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20])
    pitch = copy / T.PITCH
    pitch.write_bytes(pitch.read_bytes()[:-1000])
    before = T.Targets(targets)
    fill(spoken, copy, minutes=0.5)
    after = T.Targets(copy)
    assert after.clips[: len(before.clips)] == before.clips and len(after.clips) > len(before.clips)
    again = T.Targets(copy, clips=len(before.clips))
    assert again.fingerprint == before.fingerprint != after.fingerprint
    for clip in before.clips:
        for source in ("teacher", "recording"):
            a, b = (t.samples(clip, source, 0, clip.n_frames, 0) for t in (before, after))
            assert np.array_equal(a, b)
        assert np.array_equal(before.pitch(clip, 0, clip.n_frames), after.pitch(clip, 0, clip.n_frames))


def test_pitch_is_the_recordings_own(targets: Path) -> None:
    read = T.Targets(targets)
    for clip in read.clips[-2:]:
        audio = Audio(read.samples(clip, "recording", 0, clip.n_frames, 0), 22050)
        assert np.array_equal(read.pitch(clip, 0, clip.n_frames), analyse(audio, read.spec))
        assert np.array_equal(read.pitch(clip, 3, 5), read.pitch(clip, 0, clip.n_frames)[3:8])


def test_speed_moves_pitch_and_length_and_gain_the_level() -> None:
    tone = Audio(0.1 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050), 22050)
    fixed = T.TargetsConfig(speed=(1.1, 1.1), gain_db=(-6.0, -6.0))
    fast = T.vary(tone, fixed, ("x",))
    assert len(fast) == pytest.approx(22050 / 1.1, abs=2)
    peak = np.fft.rfft(fast.samples * np.hanning(len(fast))).__abs__().argmax() * 22050 / len(fast)
    assert peak == pytest.approx(484, abs=2)
    assert np.std(fast.samples) / np.std(tone.samples) == pytest.approx(10 ** (-6 / 20), rel=0.02)
    loud = T.vary(tone, T.TargetsConfig(speed=(1, 1), gain_db=(40, 40)), ("x",))
    assert loud.peak == pytest.approx(T.PEAK, rel=1e-3)


@pytest.mark.parametrize(
    ("fields", "reason"), [({"speed": (0.0, 1.0)}, "speed"), ({"gain_db": (3.0, -3.0)}, "gain_db")]
)
def test_refuses_ranges_that_are_none(fields: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        T.TargetsConfig(**fields)


def test_refuses_other_data_and_damaged_folders(
    spoken: Path, targets: Path, tmp_path: Path, fill: Fill
) -> None:
    with pytest.raises(UserError, match="not a targets directory"):
        train(spoken, tmp_path / "run")
    with pytest.raises(UserError, match="other data or another config"):
        fill(spoken, targets, config=dataclasses.replace(CONFIG, seed=1))
    copy = Path(shutil.copytree(targets, tmp_path / "t"))
    (copy / "teacher.f16").write_bytes(b"")
    with pytest.raises(UserError, match=r"teacher\.f16"):
        T.Targets(copy)
    lines = (copy / T.CLIPS).read_text().splitlines()
    (copy / T.CLIPS).write_text("\n".join([*lines[:1], *lines[2:]]) + "\n")
    with pytest.raises(UserError, match="line 2 does not follow"):
        T.Targets(copy)
    (copy / T.MARK).write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="another format"):
        T.Targets(copy)


def test_segments_are_in_place_and_ranks_share_them(targets: Path) -> None:
    read = T.Targets(targets)
    options = {"segment": 48, "batch": 2, "teacher": 0.5, "seed": 3}
    alone = SegmentFeed(read, **options)
    clips = {c.id: c for c in read.clips}
    for _ in range(3):
        batch = alone.next()
        assert batch.mels.shape == (2, 48, 80) and batch.samples.shape == (2, 48 * 256 + 768)
        for id, mel, samples, band in zip(batch.ids, batch.mels, batch.samples, batch.band_hz, strict=True):
            name, _, start = id.rpartition("@")
            clip = clips[name]
            assert torch.equal(mel, torch.from_numpy(read.mel(clip, int(start), 48)))
            recorded = bool(band.isfinite())
            assert not recorded or band == pytest.approx(clip.band_hz)
            source = "recording" if recorded else "teacher"
            expected = read.samples(clip, source, int(start), 48, 384)
            assert torch.equal(samples, torch.from_numpy(expected)) and (clip.teacher or recorded)
    wide = SegmentFeed(read, **{**options, "batch": 4}).next()
    ranks = [SegmentFeed(read, **options, rank=r, world=2).next() for r in range(2)]
    assert ranks[0].ids + ranks[1].ids == wide.ids
    two = SegmentFeed(read, **options, rank=1, world=2)
    two.next()
    one = SegmentFeed(read, **options)
    one.load_state_dict(two.state_dict())  # on another number of ranks: the same order of segments
    expected = [f"{p.clip.id}@{p.start}" for p in one.plan(0)[4:6]]
    assert list(one.next().ids) == expected
    assert [b.ids for b in alone.validation()] == [b.ids for b in alone.validation()]


def test_an_order_of_other_targets_is_not_continued(targets: Path) -> None:
    read = T.Targets(targets)
    options = {"batch": 2, "teacher": 0.5, "seed": 3}
    state = SegmentFeed(read, segment=48, **options).state_dict()
    with pytest.raises(UserError, match="segment changed"):
        SegmentFeed(read, segment=32, **options).load_state_dict(state)


def test_the_right_sound_costs_nothing_and_each_term_falls_with_it(targets: Path) -> None:
    """A prediction that is the target itself has no loss; the band of a recording is left alone."""
    from intona.vocoder.vocos import Spectrum

    read = T.Targets(targets)
    torch.manual_seed(0)
    task = stage.VocosTask(dataclasses.replace(stage.toy(), teacher=0.0), read)
    batch = SegmentFeed(read, segment=48, batch=2, teacher=0.0, seed=0).next()
    truth = task.model.stft(batch.samples)
    floor = truth.abs().clamp_min(stage.FLOOR)

    def losses(amplitude: torch.Tensor) -> dict[str, float]:
        spectrum = Spectrum(log_amplitude=amplitude.log(), real=truth.real, imag=truth.imag)
        return {k: float(value) for k, (value, _) in task.terms(spectrum, batch, -2)[0].items()}

    right, wrong = losses(floor), losses(2 * floor)
    for name in ("amplitude", "phase", "group_delay", "angular_frequency"):
        assert right[name] < 1e-5
    assert all(right[k] < 0.1 for k in ("mel", "consistency", "convergence", "log_magnitude"))
    known = task.known_bins(batch.band_hz)
    assert wrong["amplitude"] == pytest.approx(np.log(2) ** 2 * float(known.mean()), rel=1e-3)
    high = torch.where(known > 0, floor, 3 * floor)  # where the recording says nothing
    assert losses(high) == pytest.approx(right, abs=1e-5)


def test_half_and_half_is_the_whole_to_the_bit(targets: Path, run: Path, tmp_path: Path) -> None:
    train(targets, tmp_path / "halves", **{"loop.steps": "2"})
    train(targets, tmp_path / "halves")
    for kind in ("model", "ema", "state/optimizer"):
        a, b = (
            checkpoint.read_tensors(checkpoint.resolve(r) / f"{kind}.safetensors")
            for r in (run, tmp_path / "halves")
        )
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_keeps_to_its_clips_while_the_targets_grow(
    spoken: Path, targets: Path, run: Path, tmp_path: Path, fill: Fill
) -> None:
    grown, going = (Path(shutil.copytree(p, tmp_path / p.name)) for p in (targets, run))
    fill(spoken, grown, minutes=0.5)
    newest = train(grown, going, **{"loop.steps": "5"})
    assert newest.name == "step-00000005"
    before = json.loads((checkpoint.resolve(run) / "config.json").read_text())
    after = json.loads((newest / "config.json").read_text())
    assert (after["clips"], after["corpus"]) == (before["clips"], before["corpus"])


def test_a_run_is_a_vocoder_and_another_starts_from_it(targets: Path, run: Path, tmp_path: Path) -> None:
    mel = T.Targets(targets).mel(T.Targets(targets).clips[0], 0, 60)
    vocoder = load_vocoder(run, bf16=False)
    wave = vocoder.decode(torch.from_numpy(mel)[None])
    assert wave.shape == (1, 60 * 256) and bool(torch.isfinite(wave).all())
    newest = train(targets, tmp_path / "second", init=run, **{"loop.steps": "0"})
    again = load_vocoder(newest, bf16=False).decode(torch.from_numpy(mel)[None])
    assert torch.equal(again, wave)
    config = json.loads((newest / "config.json").read_text())
    assert config["init"] == checkpoint.identity_of(run)


def test_demonstrate_writes_three_sounds_a_clip(targets: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    stage.VocosTask(stage.toy(), T.Targets(targets)).demonstrate(tmp_path / "demo", 1)
    assert len(list((tmp_path / "demo").glob("*.wav"))) == 3 * min(2, DEMO_CLIPS)


ADVERSE = {"adversary.adversarial": "0.02", "adversary.channels": "4", "adversary.width": "0.05"}


def test_discriminators_join_a_run_that_had_none_and_stay_out_of_the_vocoder(
    targets: Path, run: Path, tmp_path: Path
) -> None:
    whole = train(targets, tmp_path / "whole", init=run, **ADVERSE)
    train(targets, tmp_path / "halves", init=run, **ADVERSE, **{"loop.steps": "2"})
    train(targets, tmp_path / "halves", init=run, **ADVERSE)
    for kind in ("model", "state/optimizer"):
        a, b = (
            checkpoint.read_tensors(checkpoint.resolve(r) / f"{kind}.safetensors")
            for r in (whole, tmp_path / "halves")
        )
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
        assert any("discriminators" in k for k in a)
    assert load_vocoder(whole, bf16=False).decode(torch.zeros(1, 20, 80)).shape == (1, 20 * 256)


def discriminators(**fields: object) -> D.Discriminators:
    torch.manual_seed(0)
    return D.Discriminators(D.AdversaryConfig(channels=4, width=0.05, **fields))  # type: ignore[arg-type]


def sounds() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    a, b = 0.1 * torch.randn(2, 2, 8192, generator=generator)
    return a.requires_grad_(), b


def test_each_objective_reaches_its_own_side_alone() -> None:
    judges, (fake, real) = discriminators(), sounds()
    losses = judges.losses(fake, real, 0.3)
    parameters = list(judges.parameters())
    of_judges = torch.autograd.grad(losses["discriminator"], parameters, allow_unused=True, retain_graph=True)
    assert any(g is not None and g.abs().sum() > 0 for g in of_judges)
    assert torch.autograd.grad(losses["discriminator"], fake, allow_unused=True, retain_graph=True) == (None,)
    for name in ("adversarial", "features"):
        (g,) = torch.autograd.grad(losses[name], fake, retain_graph=True)
        assert g.abs().sum() > 0
        unused = torch.autograd.grad(losses[name], parameters, allow_unused=True, retain_graph=True)
        assert all(g is None for g in unused)


def test_objectives_are_least_squares_and_matched_features_cost_nothing() -> None:
    judges, (fake, real) = discriminators(), sounds()
    losses = judges.losses(fake, real, 0.0)
    drawn = judges.drawn(0.0)
    assert drawn == [judges.resolutions[0], judges.periods[0]]
    level = real.square().mean(1, keepdim=True).sqrt()
    verdicts = [(judge(real / level)[-1].detach(), judge(fake / level)[-1].detach()) for judge in drawn]
    expected = np.mean([float(((r - 1) ** 2).mean() + (f**2).mean()) for r, f in verdicts])
    assert float(losses["discriminator"]) == pytest.approx(expected, rel=1e-5)
    expected = np.mean([float(((f - 1) ** 2).mean()) for _, f in verdicts])
    assert float(losses["adversarial"]) == pytest.approx(expected, rel=1e-5)
    assert float(judges.losses(real.clone(), real, 0.0)["features"]) < 1e-6


def test_the_level_of_a_recording_does_not_matter() -> None:
    judges, (fake, real) = discriminators(), sounds()
    a, b = (judges.losses(gain * fake, gain * real, 0.4) for gain in (1.0, 0.1))
    assert all(float(a[k]) == pytest.approx(float(b[k]), rel=1e-4) for k in a)


def test_the_vocoder_learns_from_the_discriminators_after_their_warmup(targets: Path) -> None:
    adversary = D.AdversaryConfig(adversarial=0.02, channels=4, width=0.05, warmup=5)
    task = stage.VocosTask(dataclasses.replace(stage.toy(), adversary=adversary), T.Targets(targets))
    parts = {step: task.losses({}, *sounds(), step).parts.keys() for step in (-2, 4, 5)}
    assert parts[4] == {"discriminator"}
    assert parts[-2] == parts[5] == {"discriminator", "adversarial", "features"}


def test_every_pair_is_drawn_alike() -> None:
    judges = discriminators()
    pairs = [tuple(map(id, judges.drawn((i + 0.5) / 150))) for i in range(150)]
    assert len(set(pairs)) == 15 and all(pairs.count(p) == 10 for p in set(pairs))


def test_a_crop_is_the_same_of_both_and_may_begin_anywhere() -> None:
    judges = discriminators(crop=100)
    x = torch.arange(300.0)[None]
    starts = [int(judges.cropped(x, (7 + (i + 0.5) / 201) / 15)[0, 0]) for i in range(201)]
    assert starts == list(range(201)) and judges.cropped(x, 0.99).shape == (1, 100)
    assert torch.equal(discriminators(crop=0).cropped(x, 0.5), x)
    assert torch.equal(judges.cropped(x[:, :50], 0.5), x[:, :50])


def test_a_period_sees_columns_of_that_period() -> None:
    """A change of one sample is seen in its own column of the verdict and in no other."""
    torch.manual_seed(0)
    judge = D.Period(3, 0.05)
    x = torch.zeros(1, 3 * 400)
    y = x.clone()
    y[0, 3 * 200 + 1] = 1
    change = (judge(y)[-1] - judge(x)[-1]).abs().sum(dim=(0, 1, 2))
    assert change[1] > 0 and change[0] == change[2] == 0


def test_discriminators_learn_to_tell_a_tone_from_noise() -> None:
    judges = discriminators(resolutions=((512, 128),), periods=(2,))
    optimizer = torch.optim.Adam(judges.parameters(), 3e-3)
    tone = 0.1 * torch.sin(torch.arange(4096) * 0.2)[None]
    generator = torch.Generator().manual_seed(0)
    first = last = 0.0
    for step in range(40):
        noise = 0.1 * torch.randn(1, 4096, generator=generator)
        loss = judges.losses(noise, tone, 0.0)["discriminator"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (float(loss), float(loss)) if step == 0 else (first, float(loss))
    assert last < 0.3 * first


def test_a_vocoder_is_published_without_its_discriminators(
    targets: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(targets, tmp_path / "whole", init=run, **ADVERSE)
    assert cli.main(["publish", str(whole), str(tmp_path / "small"), "--summary", "a toy"]) == 0
    card = models.read_card(tmp_path / "small")
    tensors = checkpoint.read_tensors(tmp_path / "small" / "model.safetensors")
    assert card.kind == "vocoder" and card.system == "vocoder.vocos --size toy"
    assert all(k.startswith("model.") for k in tensors)
    assert card.more["parameters"] == sum(t.numel() for t in tensors.values())
    mel = torch.zeros(1, 20, 80)
    half, full = (load_vocoder(d, bf16=False).decode(mel) for d in (tmp_path / "small", whole))
    assert (half - full).norm() / full.norm() < 0.05
    assert "--vocoder" in capsys.readouterr().err
    newest = train(targets, tmp_path / "more", init=tmp_path / "small", **{"loop.steps": "1"})
    assert newest.name == "step-00000001"
