"""`intona study meld`: arms that differ in one control, what its jobs count, its rule, and all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from intona import cli
from intona.audio import Audio, read_audio
from intona.config import write_json
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.evaluation.manifest import Manifest, Row
from intona.studies.engine.account import costs, plan_lines
from intona.studies.engine.job import folder
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.meld import jobs, published
from intona.studies.meld import page as report
from intona.studies.meld import plan as study
from intona.studies.meld import results as results_of
from intona.studies.meld.published import SEPARATE, headline
from intona.studies.meld.silence import SilenceJudge, longest_silence
from intona.systems.meld import presets

from ..systems.meld.conftest import SMALL

pytestmark = pytest.mark.trains


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `corpus`, with three test sentences: each can be spoken or judged beside another one."""
    out = tmp_path_factory.mktemp("meld-study") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", phonemes="corpus", dev=1, test=3, workers=0))
    return out


def plan(data: Path, **how: Any) -> StudyPlan:
    return study.declare(data=data, **{"size": "toy", **how})


def test_arms_differ_in_their_control_alone(three: Path) -> None:
    declared = plan(three, seeds=(0, 1), arms=tuple(study.ARMS))
    voices = [j for j in declared.jobs if j.name.startswith("voice/")]
    assert {j.arm for j in voices} == set(study.ARMS) - {"no-penalty"}
    for seed in (0, 1):
        mine = [j for j in voices if j.seed == seed]
        rest = [
            {**j.arguments, "overrides": {k: v for k, v in j.arguments["overrides"].items() if k != "arm"}}
            for j in mine
        ]
        assert all(r == rest[0] for r in rest) and rest[0]["overrides"]["loop.seed"] == str(seed)
        assert all(j.needs == () for j in mine)  # from nothing
    presets_by_arm = {j.arm: j.arguments["overrides"].get("arm", "") for j in voices}
    assert presets_by_arm == {n: ("" if n == "joint" else n) for n in presets_by_arm}
    assert set(presets_by_arm.values()) <= set(presets.ARMS)
    assert len({c.voice[0] for c in costs(declared, three) if c.voice[0]}) == 1
    assert "the same budget for each" in "\n".join(plan_lines(declared, three, 1))
    assert {j.arm for j in voices if j.seed == 1} == {"joint", "codes", "codec"}
    assert declared.job("said/no-penalty/1").needs == ("voice/joint/1", "test")
    assert declared.job("heard/no-penalty/0").arguments["recordings"] is False


def test_codes_and_codec_differ_in_what_learns() -> None:
    base = presets.toy()
    codes, codec = (presets.resolve("meld.joint", base, {"arm": n}) for n in ("codes", "codec"))
    assert codes.model.see == codec.model.see == "codes" and codes.perplexity == codec.perplexity == 1
    assert codes.model.train_prenet and not codec.model.train_prenet


def test_a_voice_that_is_only_sampled_otherwise_brings_its_voice(three: Path) -> None:
    declared = plan(three, arms=("no-penalty",))
    assert [j.name for j in declared.chain("said/no-penalty/0")] == [
        "test",
        "voice/joint/0",
        "said/no-penalty/0",
    ]
    rows = {(c.arm, c.voice[0] > 0, c.other[0] > 0) for c in costs(declared, three)}
    assert rows == {("joint", True, False), ("no-penalty", False, True)}


def test_the_small_study_fits_ten_core_hours(three: Path) -> None:
    assert study.declare(data=three, size="small", seeds=(0, 1)).minutes < 600


def test_a_wrong_arm_and_an_option_of_another_study(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match='unknown arm "hard-qv"'):
        plan(three, arms=("hard-qv",))
    line = ["study", "meld", "--data", str(three), "--output", str(tmp_path / "o"), "--dry-run"]
    assert cli.main([*line, "--texts", str(three)]) == 1
    output = capsys.readouterr().err
    assert "--texts: study meld has no such option" in output and "prosody" in output
    assert cli.main([*line, "--size", "toy", "--seeds", "0,1"]) == 0
    assert "| codes | 1 |" in capsys.readouterr().out and not (tmp_path / "o").exists()


def tone(*spans: tuple[float, float]) -> Audio:
    """(seconds, level) after one another: a tone, or nearly nothing."""
    parts = [a * np.sin(np.arange(round(16000 * s)) * 0.3) for s, a in spans]
    return Audio(np.concatenate(parts).astype(np.float32), 16000)


@pytest.mark.parametrize(
    ("spans", "longest"),
    [
        (((1.0, 0.5),), 0.0),
        (((0.5, 0.5), (1.2, 1e-4), (0.5, 0.5)), 1.2),
        (((1.5, 1e-4), (0.5, 0.5)), 1.5),
        (((0.5, 0.5), (0.4, 1e-4), (0.5, 0.5), (0.7, 1e-4)), 0.7),
        (((0.5, 0.5), (2.0, 0.05), (0.5, 0.5)), 0.0),  # 20 dB down is quiet, not silent
    ],
)
def test_prolonged_silence_wherever_it_stands(spans: tuple[tuple[float, float], ...], longest: float) -> None:
    audio, judge = tone(*spans), SilenceJudge()
    assert longest_silence(audio) == pytest.approx(longest, abs=0.04)
    scores = judge.judge(audio, Row(id="a", text="да"), None)
    assert scores["long_silence"].value == float(longest >= 1)
    assert judge.failed(Row(id="a", text="да"))["long_silence"].value == 1.0


def test_the_baselines_hear_nothing() -> None:
    assert jobs.frequent(["Да.", "нет!", "Да, да", "НЕТ"], ["да"], "ru") == "нет"
    assert jobs.frequent(["раз два", "два три", "пять"], ["два три пять", "три"], "ru") == "два три"
    manifest = Manifest(rows=(Row(id="a", text="Раз, два!"), Row(id="b", text="три")))
    scores = jobs.scored(manifest, {"a": "раз две", "b": ""}, "ru")
    assert scores["a"]["word_errors"] == 1 and scores["a"]["words"] == 2
    assert scores["a"]["character_errors"] == 1 and scores["b"]["word_errors"] == 1


def test_how_rows_end_is_written_down(three: Path, joint: Path, tmp_path: Path) -> None:
    from intona.systems.meld import voice as speech_lm

    voice = speech_lm.load(joint)
    recorder = jobs.EndingRecorder(voice, tmp_path / "e.jsonl", {7: "x"}, 0.0)
    assert voice.sampling.penalty == 0 and recorder.identity()["sampling"]["penalty"] == 0
    text = Prepared.open(three).items("test")[0].text
    spans = voice.spans(voice.pieces(text)[1])
    # Never <EOS>: the row is written down, and fails in a study and in any judged set.
    eos, norm = voice.model.vocabulary.eos, voice.model.trunk.norm
    with torch.no_grad():
        norm.bias.fill_(5.0)
        voice.model.head.weight[eos] = -1.0
    with pytest.raises(UserError, match="1 of 1 sentences: did not end by itself"):
        recorder.say(text, seed=7)
    row = jobs.by_id(tmp_path / "e.jsonl")["x"]
    assert row["capped"] == 1 and row["seconds"] == pytest.approx(voice.spec.seconds(2 * voice.cap(spans)))
    with pytest.raises(UserError, match="did not end by itself"):
        voice.say(text, strict=True)
    # <EOS> after a while: what is spoken is what the voice says.
    with torch.no_grad():
        voice.model.head.weight[eos] = voice.model.head.weight[eos + 1 :].mean()
        norm.bias.fill_(0.0)
        voice.model.head.weight[eos] = 0.0
    for seed in range(40):
        try:
            audio = recorder.say(text, seed=seed)
        except UserError:
            continue
        np.testing.assert_allclose(audio.samples, voice.say(text, seed=seed).samples, atol=2e-3)
        break
    else:
        pytest.fail("no seed ended by itself")


@pytest.mark.parametrize(
    ("verdicts", "cer", "expected"),
    [
        (("holds",) * 4, 0.2, "supported"),
        (("holds", "open: x", "holds", "open: x"), 0.2, "partly"),
        (("reversed", "open: x", "open: x", "open: x"), 0.2, "contradicted"),
        (("reversed", "holds", "open: x", "open: x"), 0.2, "mixed"),
        (("open: x",) * 4, 0.2, "open"),
        (("holds",) * 4, 0.6, "not judged: the joint model's CER is 0.60"),
        (("not measured",) * 4, 0.2, "not measured"),
        (("holds",) * 4, None, "not measured"),
    ],
)
def test_the_rule_of_the_headline(verdicts: tuple[str, ...], cer: float | None, expected: str) -> None:
    keys = [(m, other) for m in ("long_silence", "omission") for other in SEPARATE]
    assert headline(dict(zip(keys, verdicts, strict=True)), cer) == expected


def test_the_headline_asks_of_the_encoders_that_were_trained() -> None:
    """With one rival both measures must hold against it; one that was not trained counts for nothing."""
    verdicts = {("long_silence", "codes"): "holds", ("omission", "codes"): "holds"}
    assert headline(verdicts, 0.2) == "supported"
    assert headline({**verdicts, ("omission", "codes"): "open: x"}, 0.2) == "partly"
    assert headline({(m, o): "not measured" for m, _ in verdicts for o in SEPARATE}, 0.2) == "not measured"


def finish(out: Path, declared: StudyPlan, name: str) -> Path:
    directory = folder(out, name)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "done.json", {"fingerprint": declared.fingerprints[name], "made": 1.0})
    return directory


def test_the_page_of_half_a_study(three: Path, tmp_path: Path) -> None:
    declared = plan(three, arms=("joint", "codes"), seeds=(0, 1))
    items = Prepared.open(three).items("test")
    directory = finish(tmp_path, declared, "test")
    (directory / "recordings").mkdir()
    for item in items:
        wavfile.write(directory / "recordings" / f"{item.id}.wav", 8000, np.zeros(16000, np.int16))
    manifest = Manifest(rows=tuple(Row(id=i.id, text=i.text) for i in items))
    baseline = jobs.scored(manifest, {i.id: "" for i in items}, "ru")
    write_json(
        finish(tmp_path, declared, "baselines") / "found.json",
        {"sentence": "да <i>", "nothing": baseline, "frequent": baseline},
    )
    for arm, seconds in (("joint", 2.0), ("codes", 3.0)):
        for seed in (0, 1):
            directory_of_speech = finish(tmp_path, declared, f"said/{arm}/{seed}")
            rows = [
                {"id": i.id, "sentences": 1, "capped": int(arm == "codes"), "empty": 0, "seconds": seconds}
                for i in items
            ]
            (directory_of_speech / "endings.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
            transcripts = {i.id: i.text if arm == "joint" else "" for i in items}
            scores = jobs.scored(manifest, transcripts, "ru")
            write_json(
                finish(tmp_path, declared, f"heard/{arm}/{seed}") / "found.json",
                {"recordings": scores, "own": scores},
            )
    results = results_of.read(declared, tmp_path)
    length = results.value("codes", 0, "length")
    assert length is not None and length["estimate"] == pytest.approx(1.5)
    stt = next(c for c in published.CLAIMS if c.measure == "stt_wer")
    test = results.test(stt)
    assert test is not None and test.by_seed == {0: -1.0, 1: -1.0}
    page = report.write(
        declared, tmp_path, StudyOutcome(done=(), failed={}, blocked=(), left=("judge",))
    ).read_text()
    assert "да &lt;i&gt;" in page and "3 of 3" in page and "an empty transcript" in page
    assert ".049 / .121" in page and "not measured" in page and "131.8" in page
    assert "open: 2 seeds, 3 needed" in page


def test_what_whisper_and_the_model_agree_on() -> None:
    transcripts = {"a": {"text": "раз два"}, "b": {"text": "три"}, "c": {"text": "х"}}
    edits = results_of.agreement(transcripts, {"a": "Раз, два!", "b": "тра", "c": ""}, "ru")
    assert edits == {"a": (0.0, 6.0), "b": (1.0, 3.0)}
    assert results_of.agreement(transcripts, {}, None) == {}


def test_listening_goes_on_where_it_stopped(three: Path, joint: Path, tmp_path: Path) -> None:
    from intona.evaluation import write_manifest

    items = Prepared.open(three).items("test")[:2]
    test, speech, voice = (tmp_path / n for n in ("test", "said", "voice"))
    for directory, inner in ((test, "recordings"), (speech, "wavs")):
        (directory / inner).mkdir(parents=True)
    (voice / "run").parent.mkdir()
    (voice / "run").symlink_to(joint)
    write_manifest(test / "manifest.jsonl", Manifest(rows=tuple(Row(id=i.id, text=i.text) for i in items)))
    prepared = Prepared.open(three)
    for item in items:
        audio = read_audio(prepared.audio_path(item))
        audio.write(test / "recordings" / f"{item.id}.wav")
    audio.write(speech / "wavs" / f"{items[0].id}.wav")  # the other was not spoken
    out = tmp_path / "heard"
    out.mkdir()
    how: dict[str, Any] = {"voice": "v", "speech": "s", "test": "t", "recordings": True, "language": "ru"}
    needs = {"v": voice, "s": speech, "t": test}
    assert jobs.listen(out=out, needs=needs, limit_minutes=0, **how) is False
    (out / "heard.jsonl").write_text(
        json.dumps({"id": f"own/{items[0].id}", "text": "эхо"}) + '\n{"id": "own/'
    )
    assert jobs.listen(out=out, needs=needs, limit_minutes=None, **how)
    results = json.loads((out / "found.json").read_text())
    assert results["own"][items[0].id]["text"] == "эхо"  # kept, not heard again
    assert results["own"][items[1].id]["text"] == "" and set(results["recordings"]) == {i.id for i in items}


@pytest.mark.slow
def test_the_toy_study_runs_and_goes_on(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "meld", "--data", str(three), "--output", str(tmp_path), "--size", "toy"]
    line += ["--asr", "none", "--workers", "1"]
    assert cli.main([*line, "--arms", "joint,no-penalty"]) == 0
    assert cli.main([*line, "--arms", "joint,no-penalty,codes"]) == 0
    assert "jobs done" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "codes@0" in page and "no arm failed" in page and "prolonged silence" in page
    assert len((folder(tmp_path, "voice/joint/0") / "spent.jsonl").read_text().splitlines()) == 1
