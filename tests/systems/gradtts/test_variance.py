"""The variance adaptor: losses by hand, the values it adds, a voice with it from training to speech."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import intona
from intona import checkpoint, config, models, systems
from intona.config import from_dict, to_dict
from intona.data.batch import Contours
from intona.data.contours import SpeakerStatistics
from intona.data.intonation import Intonation
from intona.data.prepared import Prepared
from intona.encoders.plain import PlainEncoderConfig
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.synth.controls import Controls
from intona.synth.options import SpeakOptions
from intona.systems.gradtts import (
    DecoderConfig,
    DurationConfig,
    GradTTS,
    GradTTSConfig,
    GradTTSSpeech,
    VarianceConfig,
    stage,
)
from intona.systems.gradtts.stage import GradTTSRun
from intona.systems.gradtts.variance import Prediction, VarianceAdaptor, interpolated
from intona.systems.gradtts.voice import CAPABILITIES, NOT_STEERABLE
from intona.text import Utterance
from intona.text.question import PitchTarget, QuestionPlan

TINY = GradTTSConfig(
    n_tokens=10,
    n_speakers=2,
    n_mels=8,
    speaker_dim=4,
    encoder=PlainEncoderConfig(dim=16, layers=1, hidden=16, dropout=0.0),
    duration=DurationConfig(hidden=16, dropout=0.0),
    decoder=DecoderConfig(kind="convnext1d", dim=16, depth=2, see_states=True),
    durations="data",
    add_blank=False,
    target="velocity",
    segment=0,
)
STEERABLE = dataclasses.replace(TINY, variance=VarianceConfig(hidden=16, layers=2, dropout=0.0))
MASK = torch.tensor([[True, True, True, True], [True, True, True, False]])
CONTOURS = Contours(
    pitch=torch.tensor([[2.0, 0, 6, 4], [9, 3, 0, 0]]),
    voiced=torch.tensor([[1.0, 0, 1, 0.6], [1, 0.75, 0.2, 0]]),
    energy=torch.tensor([[-20.0, -30, 0, -26], [-10, -40, -90, 0]]),
    present=torch.tensor([[True, True, False, True], [True, True, True, False]]),
)
INTONATION = Intonation(
    clause_types=torch.tensor([[0, 0, 2, 2], [2, 2, 2, 0]]), places=torch.tensor([[1, 1, 0, 1], [0, 1, 2, 0]])
)
SPEAKERS = torch.tensor([0, 1])
STATISTICS = SpeakerStatistics(
    pitch_mean=np.array([4.0, 6.0]),
    pitch_std=np.array([2.0, 3.0]),
    energy_mean=np.array([-26.0, -25.0]),
    energy_std=np.array([2.0, 5.0]),
)


def adaptor() -> VarianceAdaptor:
    torch.manual_seed(0)
    out = VarianceAdaptor(VarianceConfig(hidden=16, weight=0.5), 16, n_speakers=2, speaker_dim=4)
    out.set_statistics(STATISTICS)
    return out.eval()


def batch() -> dict[str, torch.Tensor]:
    durations = torch.tensor([[2, 3, 0, 4], [1, 2, 3, 0]])
    return {
        "tokens": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]]),
        "token_lengths": torch.tensor([4, 3]),
        "mels": torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(0)),
        "mel_lengths": durations.sum(1),
        "durations": durations,
        "speakers": SPEAKERS,
    }


def test_interpolation_is_that_of_numpy() -> None:
    values = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    known = torch.rand(5, 12, generator=torch.Generator().manual_seed(1)) < 0.4
    known[4] = False
    out = interpolated(values, known)
    for row, k, result in zip(values.numpy(), known.numpy(), out.numpy(), strict=True):
        at = np.flatnonzero(k)
        expected = np.interp(np.arange(12), at, row[at]) if len(at) else np.zeros(12)
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_true_values_are_standardised_by_speaker_and_interpolated() -> None:
    values = adaptor().truth(CONTOURS, SPEAKERS)
    # (2 - 4) / 2, the line to (6 - 4) / 2, (4 - 4) / 2; speaker 1: (9 - 6) / 3, (3 - 6) / 3 and on
    torch.testing.assert_close(values.pitch, torch.tensor([[-1.0, 0, 1, 0], [1, -1, -1, -1]]))
    # 3 at most: (-20 + 26) / 2 = 3, -2, between -2 and 0, 0; speaker 1: 3, -3, -13 becomes -3
    torch.testing.assert_close(values.energy, torch.tensor([[3.0, -2, -1, 0], [3, -3, -3, -3]]))


def test_losses_by_hand() -> None:
    model = adaptor()
    truth = model.truth(CONTOURS, SPEAKERS)
    predicted = Prediction(
        pitch=torch.full((2, 4), 0.5), voiced_logit=torch.zeros(2, 4), energy=torch.full((2, 4), 1.0)
    )
    parts = model.losses(predicted, truth, CONTOURS, MASK)
    assert {p.weight for p in parts.values()} == {0.5}
    means = {name: float(part.mean) for name, part in parts.items()}
    # Voiced symbols: -1, 1, 0 and 1, -1. Symbols with frames: 3, -2, 0 and 3, -3, -3.
    assert means["pitch"] == pytest.approx((1.5**2 + 0.5**2 + 0.5**2 + 0.5**2 + 1.5**2) / 5)
    assert means["energy"] == pytest.approx((4 + 9 + 1 + 4 + 16 + 16) / 6)
    assert means["voiced"] == pytest.approx(math.log(2))


def test_a_perfect_prediction_gives_the_values_of_the_recording() -> None:
    model = adaptor()
    truth = model.truth(CONTOURS, SPEAKERS)
    predicted = Prediction(
        pitch=truth.pitch, voiced_logit=torch.logit(truth.voiced, eps=1e-6), energy=truth.energy
    )
    values = model.values(predicted, MASK)
    for name in ("pitch", "voiced", "energy"):
        torch.testing.assert_close(
            getattr(values, name) * MASK, getattr(truth, name) * MASK, atol=1e-5, rtol=1e-5
        )
    parts = model.losses(predicted, truth, CONTOURS, MASK)
    assert float(parts["pitch"].total) == 0 and float(parts["energy"].total) == 0


def test_it_starts_as_the_model_without_it_and_keeps_its_weights() -> None:
    torch.manual_seed(0)
    plain = GradTTS(TINY)
    torch.manual_seed(0)
    model = GradTTS(STEERABLE)
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in plain.state_dict().items())
    assert all(k.startswith("variance.") for k in state.keys() - plain.state_dict().keys())
    parts = [
        m.losses(
            **batch(), random=ItemRandom(0, 0, ["a", "b"]), contours=CONTOURS, intonation=INTONATION
        ).parts
        for m in (plain, model)
    ]
    assert list(parts[0]) == ["duration", "prior", "diffusion"]
    assert list(parts[1]) == [*parts[0], "pitch", "voiced", "energy"]
    assert all(torch.equal(parts[0][name].total, parts[1][name].total) for name in parts[0])


def test_every_weight_of_it_learns_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = GradTTS(STEERABLE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def total(ids: list[str]) -> dict[str, float]:
        n = len(ids)
        b = {k: v[2 - n :] for k, v in batch().items()}
        if n == 1:
            b |= {k: b[k][:, :3] for k in ("tokens", "durations")} | {"mels": b["mels"][:, :6]}
            contours, intonation = (
                type(o)(**{k: v[1:, :3] for k, v in vars(o).items()}) for o in (CONTOURS, INTONATION)
            )
        else:
            contours, intonation = CONTOURS, INTONATION
        losses = model.losses(**b, random=ItemRandom(0, 0, ids), contours=contours, intonation=intonation)
        losses.total.backward()
        return {k: float(p.total.detach()) for k, p in losses.parts.items()}

    total(["a", "b"])
    assert model.variance is not None
    still = [
        k for k, p in model.variance.named_parameters() if p.grad is None or not float(p.grad.abs().max())
    ]
    assert still == []
    shorter = total(["b"])
    b = {k: v[[1, 1]] for k, v in batch().items()}
    b["mels"] = b["mels"][:, :6]
    twice = model.losses(
        **b,
        random=ItemRandom(0, 0, ["b", "b"]),
        contours=Contours(**{k: v[[1, 1]] for k, v in vars(CONTOURS).items()}),
        intonation=Intonation(**{k: v[[1, 1]] for k, v in vars(INTONATION).items()}),
    )
    for name, part in twice.parts.items():
        assert float(part.total.detach()) == pytest.approx(2 * shorter[name], rel=1e-4), name


def test_the_speaker_and_the_intonation_reach_the_predictor() -> None:
    model = adaptor()
    torch.nn.init.normal_(model.intonation.weight)
    states = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(2))
    speaker = torch.randn(2, 4, generator=torch.Generator().manual_seed(3))
    pitch = model.predict(model.with_intonation(states, INTONATION, MASK), MASK, speaker).pitch
    other = dataclasses.replace(INTONATION, clause_types=torch.zeros_like(INTONATION.clause_types))
    for changed in (
        model.predict(model.with_intonation(states, other, MASK), MASK, speaker),
        model.predict(model.with_intonation(states, INTONATION, MASK), MASK, speaker + 1),
    ):
        assert float((changed.pitch - pitch).detach().abs().max()) > 1e-3


def test_what_it_needs_is_named() -> None:
    with pytest.raises(ValueError, match='variance needs durations "data"'):
        GradTTSConfig(variance=VarianceConfig())
    model = GradTTS(STEERABLE)
    with pytest.raises(ValueError, match="no contours"):
        model.losses(**batch(), random=ItemRandom(0, 0, ["a", "b"]))
    with pytest.raises(ValueError, match="the intonation of its texts"):
        model.synthesize(
            torch.tensor([[1, 2]]), torch.tensor([2]), speakers=SPEAKERS[:1], random=ItemRandom(0, 0, ["a"])
        )


def test_configs_without_it_open_and_flags_add_it() -> None:
    tree = to_dict(TINY)
    del tree["variance"]  # of a version before it
    assert from_dict(GradTTSConfig, tree).variance is None
    run = GradTTSRun(model=TINY)
    changed = config.override(run, {"model.variance.hidden": "32", "model.variance.layers": "2"})
    assert changed.model.variance == VarianceConfig(hidden=32, layers=2)
    assert config.override(run, {"model.variance": "{}"}).model.variance == VarianceConfig()
    assert config.override(changed, {"model.variance": "null"}).model.variance is None
    with pytest.raises(UserError, match=r'unknown config key "model.variance.hiden".*hidden'):
        config.override(run, {"model.variance.hiden": "1"})


def steerable() -> GradTTS:
    """With random weights, so that a prediction is not flat."""
    torch.manual_seed(1)
    model = GradTTS(STEERABLE).eval()
    assert model.variance is not None
    torch.nn.init.normal_(model.variance.intonation.weight)
    torch.nn.init.normal_(model.variance.embedding.weight, std=0.3)
    model.variance.set_statistics(STATISTICS)
    return model


def speak(model: GradTTS, **more: Any) -> GradTTSSpeech:
    return model.synthesize(
        torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]]),
        torch.tensor([4, 3]),
        speakers=SPEAKERS,
        steps=2,
        intonation=INTONATION,
        random=ItemRandom(0, 0, ["a", "b"]),
        **more,
    )


def test_controls_steer_pitch_by_what_is_requested() -> None:
    model = steerable()
    plain = speak(model)
    assert plain.pitch is not None
    shift = torch.tensor([[2.0, 2, 2, 2], [-3, -3, 0, 0]])
    moved = speak(model, controls=Controls(pitch=shift))
    torch.testing.assert_close(moved.pitch, plain.pitch + shift)
    assert float((moved.mel - plain.mel).abs().max()) > 1e-3
    assert torch.equal(moved.durations, plain.durations)  # the tempo stays
    means = torch.tensor(STATISTICS.pitch_mean, dtype=torch.float32)[:, None]
    for factor in (0.0, 0.5, 2.0):
        wider = speak(model, controls=Controls(range=torch.full((2, 4), factor)))
        torch.testing.assert_close((wider.pitch - means) * MASK, (factor * (plain.pitch - means)) * MASK)
    both = speak(model, controls=Controls(range=torch.zeros(2, 4), pitch=shift))
    torch.testing.assert_close(both.pitch * MASK, (means + shift) * MASK)


def test_energy_and_duration_are_controlled() -> None:
    model = steerable()
    assert model.variance is not None
    plain, values = speak(model), model.variance.plan
    seen = []

    def plan(*arguments: Any, **more: Any) -> Any:
        seen.append(values(*arguments, **more))
        return seen[-1]

    model.variance.plan = plan  # type: ignore[method-assign]
    speak(model)
    louder = speak(model, controls=Controls(energy=torch.full((2, 4), 6.0)))
    std = torch.tensor(STATISTICS.energy_std, dtype=torch.float32)[:, None]
    torch.testing.assert_close(seen[1].energy, (seen[0].energy + 6 / std) * MASK)
    assert float((louder.mel - plain.mel).abs().max()) > 1e-3
    # A model without an adaptor obeys the duration too.
    bare = GradTTS(TINY).eval()
    for slow in (model, bare):
        slow.duration.out.bias.data.fill_(2.0)
        short = speak(slow)
        long = speak(slow, controls=Controls(duration=torch.tensor([[2.0] * 4, [1.0] * 4])))
        assert long.durations[0].sum() == pytest.approx(2 * int(short.durations[0].sum()), abs=1)
        assert torch.equal(long.durations[1], short.durations[1])


def test_the_contour_of_a_question_is_planned_and_scaled_with_the_range() -> None:
    model = steerable()
    rise = QuestionPlan(
        vowels=(1, 3), targets=(PitchTarget(symbol=1, start=1, end=2, above=7.0, floor=6.0),), voiced=(1,)
    )
    plain, rule = speak(model), speak(model, questions=[rise, None])
    assert plain.pitch is not None and rule.pitch is not None
    raised = rule.pitch - plain.pitch
    assert rule.voiced is not None and float(rule.voiced[0, 1]) > 0.9
    assert float(rule.pitch[0, 1]) - float(STATISTICS.pitch_mean[0]) >= 6 - 1e-4 and float(raised[0, 0]) > 0
    assert float(raised[0, 3]) == pytest.approx(0, abs=1e-5) and not raised[1].any()
    flat = speak(model, questions=[rise, None], controls=Controls(range=torch.zeros(2, 4)))
    assert flat.pitch is not None and float((flat.pitch[0] - STATISTICS.pitch_mean[0]).abs().max()) < 1e-5


FEW = {
    "loop.save_every": "100",
    "loop.validate_every": "100",
    "loop.precision": "fp32",
    "model.variance.hidden": "64",
    "model.variance.dropout": "0",
    "optim.warmup": "5",
}


@pytest.fixture(scope="module")
def run(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("variance") / "run"
    overrides = FEW | {"loop.steps": "40", "loop.log_every": "1", "optim.lr": "2e-3"}
    systems.train("prosody.gradtts", size="toy", data=spoken, out=out, overrides=overrides)
    return out


@pytest.mark.trains
def test_it_learns_from_recordings_and_speaks(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    rows = [r for r in rows if r["kind"] == "train"]
    for name in ("pitch", "voiced", "energy"):
        first, last = (np.mean([r[name] for r in part]) for part in (rows[:5], rows[-5:]))
        assert last < 0.9 * first, name
    voice = intona.load(run, vocoder="griffin-lim")
    assert voice.model.variance.pitch_std[0] > 1
    audio = voice.say("Доброе утро?", steps=1)
    assert len(audio.samples) > 1000 and np.isfinite(audio.samples).all()


@pytest.mark.trains
def test_a_voice_obeys_pitch_range_and_energy(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = intona.load(run, vocoder="griffin-lim")
    pitch: list[torch.Tensor] = []
    real = voice.model.synthesize

    def synthesize(*arguments: Any, **more: Any) -> GradTTSSpeech:
        speech = real(*arguments, **more)
        pitch.append(speech.pitch)
        return speech

    monkeypatch.setattr(voice.model, "synthesize", synthesize)
    mean = voice.model.variance.pitch_mean[0]
    for options in ({}, {"pitch": 2.0}, {"range": 0.5}, {"range": 0.0, "pitch": -1.0}, {"energy": 6.0}):
        voice.say("Доброе утро.", steps=1, **options)
    plain, higher, narrow, flat, louder = pitch
    torch.testing.assert_close(higher, plain + 2)
    torch.testing.assert_close(narrow - mean, (plain - mean) / 2, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(flat, torch.full_like(flat, float(mean) - 1))
    assert torch.equal(louder, plain)
    # The volume of a word is changed on the audio: the model may follow energy only in part.
    speeches = [
        voice.speech(f'<speak>Доброе <prosody volume="{level}">утро</prosody>.</speak>', ssml=True, steps=1)
        for level in ("+0dB", "-12dB")
    ]
    word = speeches[0].words[1]
    levels = [np.std(s.audio.trim(word.start + 0.02, word.end - 0.02).samples) for s in speeches]
    assert levels[0] / levels[1] == pytest.approx(10 ** (12 / 20), rel=0.02)


@pytest.mark.trains
def test_a_question_is_planned_above_its_statement(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = intona.load(run, vocoder="griffin-lim")

    def contour(text: str) -> tuple[Utterance, torch.Tensor]:
        (sentence,) = voice.sentences(text)
        pitch: list[torch.Tensor] = []
        real = type(voice.model).synthesize

        def synthesize(*arguments: Any, **more: Any) -> GradTTSSpeech:
            speech = real(voice.model, *arguments, **more)
            pitch.append(speech.pitch[0])
            return speech

        with monkeypatch.context() as m:
            m.setattr(voice.model, "synthesize", synthesize)
            voice.say(text, steps=1)
        return sentence, pitch[0]

    for words, nucleus in (("Ты видел Ивана", 1), ("Это твой дом", 2), ("Он пришёл вчера вечером", 1)):
        (question, high), (_, low) = contour(words + "?"), contour(words + ".")
        word = question.words[nucleus]
        peak = float(high[word.start : word.end].max() - low[word.start : word.end].max())
        assert peak >= 4, words
    voice.manner = dataclasses.replace(voice.manner, question_contour=False)
    (_, high), (_, low) = contour("Ты видел Ивана?"), contour("Ты видел Ивана.")
    assert float((high - low).abs().max()) < 4  # 40 steps of training do not teach it


def test_a_voice_without_an_adaptor_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    assert CAPABILITIES.takes("pitch") and not NOT_STEERABLE.takes("pitch")
    with pytest.raises(UserError, match="no variance adaptor") as e:
        NOT_STEERABLE.require(SpeakOptions(range=1.5))
    assert e.value.where == "--range"
    NOT_STEERABLE.require(SpeakOptions(rate=1.5))
    with pytest.raises(UserError, match="no such option"):
        NOT_STEERABLE.require(SpeakOptions(style="calm"))


@pytest.mark.trains
def test_a_voice_without_it_starts_one_with_it(run: Path, spoken: Path, tmp_path: Path) -> None:
    plain, steerable = tmp_path / "plain", tmp_path / "steerable"
    few = {k: v for k, v in FEW.items() if "variance" not in k} | {"loop.steps": "2"}
    systems.train("prosody.gradtts", size="toy", data=spoken, out=plain, overrides=few)
    systems.train(
        "prosody.gradtts",
        size="toy",
        data=spoken,
        out=steerable,
        overrides=FEW | {"loop.steps": "1"},
        init=plain,
    )
    before = checkpoint.read_tensors(checkpoint.resolve(plain) / "ema.safetensors")
    after = checkpoint.read_tensors(steerable / "step-00000000" / "model.safetensors")
    assert all(torch.equal(after[k], v) for k, v in before.items())
    trained = checkpoint.read_tensors(checkpoint.resolve(run) / "model.safetensors")
    for name in ("pitch_mean", "pitch_std"):  # of the corpus, not of the model that it starts from
        torch.testing.assert_close(
            after[f"model.variance.{name}"], trained[f"model.variance.{name}"], check_dtype=False
        )


@pytest.mark.trains
def test_a_voice_of_one_speaker_starts_one_of_several(
    run: Path, spoken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every new speaker begins with the outputs of the one there was, and the inputs can be learnt."""
    prepared = Prepared.open(spoken)
    config = from_dict(GradTTSRun, json.loads((checkpoint.resolve(run) / "config.json").read_text("utf-8")))
    before = stage.GradTTSTask(config, prepared)
    stage.start_from_voice(before, run)
    monkeypatch.setattr(prepared, "speakers", ("second", *prepared.speakers))
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, n_speakers=2))
    after = stage.GradTTSTask(config, prepared)
    stage.start_from_voice(after, run)
    tokens, lengths = torch.tensor([[5, 6, 7]]), torch.tensor([3])
    outputs = []
    for task, speaker in ((before, None), (after, torch.tensor([0])), (after, torch.tensor([1]))):
        states, mask, vector = task.model.eval().read(tokens, lengths, speaker)
        predicted = task.model.get_submodule("variance").predict(states, mask, vector)
        outputs.append((states, predicted.pitch, task.model.prior(states)))
    for several in outputs[1:]:
        assert all(torch.allclose(a, b) for a, b in zip(outputs[0], several, strict=True))
    outputs[1][2].sum().backward()
    projection = after.model.encoder.get_submodule("speaker").get_parameter("weight")
    assert projection.grad is not None and projection.grad.abs().sum() > 0


def test_a_voice_of_several_speakers_starts_one_of_a_single_speaker(spoken: Path) -> None:
    """As in fine-tuning the shipped voice on a corpus of one reader."""
    source, prepared = models.find("ru-en"), Prepared.open(spoken)
    assert len(prepared.speakers) == 1
    config = from_dict(GradTTSRun, json.loads((source / "config.json").read_text("utf-8")))
    task = stage.GradTTSTask(stage.fitted(config, prepared), prepared)
    stage.start_from_voice(task, source)
    before, after = checkpoint.weights_of(source)[1], task.state_dict()
    missing = {name for name in before if name.startswith("model.") and name not in after}
    assert {name.rpartition(".")[0] for name in missing} == set(stage.SPEAKER_INPUTS)
    layers = [name for name in after if name.startswith("model.score.net.")]
    assert layers and all(torch.equal(after[name], before[name]) for name in layers)
