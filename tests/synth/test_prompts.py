"""Prompts of a set: from a column, a corpus, a listed folder, a plain one; and a set that was given some."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation import Manifest, Row, read_manifest
from intona.jsonl import whole_rows
from intona.synth import prompts as given
from intona.synth.batch import SetConfig, row_seed, synthesize_set
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.prompts import Prompt, choose
from intona.synth.record import Failure, read_times, write_failures
from intona.synth.voice import BaseVoice

RATE = 16_000


def wav(path: Path, seconds: float = 0.5, pitch: float = 200.0) -> Path:
    t = np.arange(round(seconds * RATE)) / RATE
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio((0.3 * np.sin(2 * np.pi * pitch * t)).astype(np.float32), RATE).write(path)
    return path


def manifest(*rows: tuple[str, str, str]) -> Manifest:
    return Manifest(rows=tuple(Row(id=i, text=t, speaker=s) for i, t, s in rows))


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Two speakers: anna says a, b, c (c with the words of a), boris says d alone."""
    folder = tmp_path / "listed"
    rows = [("a", "раз", "anna"), ("b", "два", "anna"), ("c", "раз", "anna"), ("d", "три", "boris")]
    for number, (i, _, _) in enumerate(rows):
        wav(folder / f"{i}.wav", pitch=200.0 + 50 * number)
    lines = ["id|text|speaker", *("|".join(r) for r in rows)]
    (folder / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_another_utterance_of_the_speaker_of_other_words(listed: Path) -> None:
    found = choose(manifest(("a", "раз", "anna"), ("b", "два", "anna"), ("x", "ноль", "boris")), listed)
    assert found["a"].path.name == "b.wav" and found["a"].text == "два"  # not a itself, not c: the same words
    assert found["b"].path.name in ("a.wav", "c.wav")
    assert found["x"].path.name == "d.wav"
    again = choose(manifest(("b", "два", "anna")), listed)
    assert again["b"] == found["b"]  # the row decides, not the rows beside it


def test_the_usual_length_is_preferred(listed: Path) -> None:
    wav(listed / "b.wav", 4.0)
    rows = manifest(("c", "раз", "anna"), *((f"x{n}", f"слово {n}", "anna") for n in range(8)))
    assert {p.path.name for p in choose(rows, listed).values()} == {"b.wav"}


def test_rows_without_a_prompt_are_counted(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prompt for 2 of 3 rows \(d, e\)"):
        choose(manifest(("d", "три", "boris"), ("e", "и", "vera"), ("a", "раз", "anna")), listed)
    with pytest.raises(UserError, match="no such folder"):
        choose(manifest(("d", "три", "boris")), tmp_path / "none")
    assert choose(manifest(("d", "три", "boris")), None) == {}


def test_a_plain_folder_is_read_as_evaluate_reads_it(tmp_path: Path) -> None:
    wav(tmp_path / "p" / "u1.wav")
    wav(tmp_path / "p" / "anna.wav")
    found = choose(manifest(("u1", "раз", "anna"), ("u2", "два", "anna")), tmp_path / "p")
    assert [p.path.name for p in found.values()] == ["u1.wav", "anna.wav"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_columns_name_a_path_or_a_recording(kind: str, listed: Path, tmp_path: Path) -> None:
    wav(tmp_path / "refs" / "mine.wav")
    rows = [
        {"id": "a", "text": "раз", "speaker": "anna", "prompt": "refs/mine.wav", "prompt_text": "слова"},
        {"id": "b", "text": "два", "speaker": "anna", "prompt": "d", "length": "1.5"},
        {"id": "c", "text": "раз", "speaker": "anna"},
    ]
    path = tmp_path / f"m.{kind}"
    if kind == "csv":
        heads = ["id", "text", "speaker", "prompt", "prompt_text", "length"]
        lines = ["|".join(heads), *("|".join(r.get(h, "") for h in heads) for r in rows)]
    else:
        lines = [json.dumps(r, ensure_ascii=False) for r in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    columns = given.read_columns(path)
    found = choose(read_manifest(path), listed, columns=columns, beside=tmp_path)
    assert found["a"].path == tmp_path / "refs" / "mine.wav" and found["a"].text == "слова"
    assert found["b"].path.name == "d.wav" and found["b"].text == "три"
    assert found["c"].path.name == "b.wav"
    assert given.lengths_of(columns) == {"b": 1.5}
    with pytest.raises(UserError, match='no prompt "d"'):
        choose(read_manifest(path), None, columns=columns, beside=tmp_path)


@pytest.mark.parametrize("name", ["../mine.wav", "{outside}/mine.wav", "link.wav"])
def test_a_prompt_outside_the_manifest_s_folder_is_refused(name: str, tmp_path: Path) -> None:
    wav(tmp_path / "mine.wav")
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "link.wav").symlink_to(tmp_path / "mine.wav")
    columns = {"a": {"prompt": name.format(outside=tmp_path)}}
    with pytest.raises(UserError, match=r"outside the manifest's folder; .* --prompts DIR"):
        choose(manifest(("a", "раз", "")), None, columns=columns, beside=tmp_path / "sent")


def test_lists_of_anything_else_are_one_error(tmp_path: Path) -> None:
    for text in ("[1]", "{"):
        (tmp_path / "m.jsonl").write_text(text)
        with pytest.raises(UserError, match=r"m\.jsonl, line 1"):
            given.read_columns(tmp_path / "m.jsonl")
    for raw in (b"5", b"{}", b"\xff"):
        (tmp_path / "times.jsonl").write_bytes(raw + b"\n")
        if raw == b"5":
            assert read_times(tmp_path) == []
        else:
            with pytest.raises(UserError, match=r"times\.jsonl: not"):
                read_times(tmp_path)


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    for name in ("m.jsonl", "m.csv"):
        row = (
            "a|один\u2028два\x85три|p\u2029"
            if name == "m.csv"
            else json.dumps(
                {"id": "a", "text": "один\u2028два\x85три", "prompt": "p\u2029"}, ensure_ascii=False
            )
        )
        (tmp_path / name).write_text("id|text|prompt\n" * (name == "m.csv") + row + "\n", encoding="utf-8")
        assert list(given.read_columns(tmp_path / name)) == ["a"]
    prompt = Prompt(path=wav(tmp_path / "p.wav"), text="один\u2028два")
    given.keep({"a": prompt}, tmp_path / "kept")
    assert given.kept(tmp_path / "kept")["a"].text == prompt.text
    failures = [Failure(id="a", reason="\x85"), Failure(id="b\u2028", reason="")]
    write_failures(tmp_path / "failures.jsonl", failures)
    assert [Failure(**row) for row in whole_rows(tmp_path / "failures.jsonl")] == failures


def test_prompts_are_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = {"a": Prompt(path=wav(tmp_path / "p.wav"), text="раз")}

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(given.shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"the prompts cannot be kept \(No space left on device\)"):
        given.keep(prompts, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_bad_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"id": "a", "text": "раз", "prompt": ["x"]}\n', encoding="utf-8")
    with pytest.raises(UserError, match='"prompt" of "a"'):
        given.read_columns(path)
    for bad in ("-1", "x", "nan", "1e9"):
        with pytest.raises(UserError, match="no number of seconds"):
            given.lengths_of({"a": {"length": bad}})


def test_lengths_are_those_of_the_recordings(listed: Path, tmp_path: Path) -> None:
    found = given.durations(listed, manifest(("a", "раз", "anna"), ("b", "два", "anna")))
    assert found == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    with pytest.raises(UserError, match="no recording for 1 of 2 rows"):
        given.durations(listed, manifest(("a", "раз", "anna"), ("z", "два", "anna")))
    (listed / "a.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match="not an audio file"):
        given.seconds_of(listed / "a.wav")


# --- a set that was given prompts -----------------------------------------------------------------------


class Mimic(BaseVoice):
    """A voice as loud as its reference is high, as long as the options say."""

    capabilities = Capabilities(
        system="mimic", options=frozenset({"rate", "reference", "steps", "guidance", "length"})
    )
    sample_rate = RATE

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        options = self.accepted(options, changes)
        guidance = 2.0 if options.guidance is None else options.guidance
        return dataclasses.replace(options, steps=options.steps or 25, guidance=guidance)

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        self.calls.append({n: getattr(options, n) for n in ("seed", "steps", "guidance", "length")})
        recording = options.recording()
        if recording is None or recording.peak < 1e-3:
            raise UserError("silent", where="reference")
        crossings = float((np.diff(np.sign(recording.samples)) != 0).mean())
        return Audio(np.full(round((options.length or 0.1) * RATE), crossings, np.float32), RATE)


@pytest.fixture
def rows() -> Manifest:
    return manifest(("a", "раз", "anna"), ("b", "два", "anna"))


def test_prompts_and_lengths_reach_the_voice_and_are_kept(
    rows: Manifest, listed: Path, tmp_path: Path
) -> None:
    voice, out = Mimic(), tmp_path / "set"
    prompts = choose(rows, listed)
    how: dict[str, Any] = {"prompts": prompts, "lengths": {"a": 0.3}}
    spoken = synthesize_set(voice, rows, out, SetConfig(steps=4, seed=7), **how)
    assert spoken.spoken == 2
    assert voice.calls == [
        {"seed": row_seed(7, "a"), "steps": 4, "guidance": None, "length": 0.3},
        {"seed": row_seed(7, "b"), "steps": 4, "guidance": None, "length": None},
    ]
    made_by = json.loads((out / "made_by.json").read_text())
    assert (made_by["steps"], made_by["guidance"]) == (4, 2.0)
    kept = given.kept(out / "prompts")
    assert {i: (p.text, p.path.read_bytes()) for i, p in kept.items()} == {
        i: (p.text, p.path.read_bytes()) for i, p in prompts.items()
    }
    times = read_times(out)
    assert [t["ids"] for t in times] == [["a"], ["b"]]
    assert sum(t["speech"] for t in times) == pytest.approx(0.4) and all(t["wall"] > 0 for t in times)
    assert synthesize_set(voice, rows, out, SetConfig(steps=4, seed=7), **how).kept == 2


def test_a_set_of_other_settings_is_refused(rows: Manifest, listed: Path, tmp_path: Path) -> None:
    voice, prompts = Mimic(), choose(rows, listed)
    synthesize_set(voice, rows, tmp_path / "set", prompts=prompts)
    other = prompts | {"a": Prompt(path=listed / "d.wav", text="три")}
    told = {i: Prompt(path=p.path, text="другое") for i, p in prompts.items()}
    for config, how, named in (
        (SetConfig(), {"prompts": other}, "prompts"),
        (SetConfig(), {"prompts": told}, "prompts"),
        (SetConfig(), {"prompts": prompts, "lengths": {"a": 1.0}}, "lengths"),
        (SetConfig(guidance=3.0), {"prompts": prompts}, "guidance"),
        (SetConfig(steps=3), {"prompts": prompts}, "steps"),
    ):
        with pytest.raises(UserError, match=f"made with another {named}"):
            synthesize_set(voice, rows, tmp_path / "set", config, **how)  # type: ignore[arg-type]
    # What the voice's own settings are, said or not, is the same set.
    same = SetConfig(steps=25, guidance=2.0)
    assert synthesize_set(voice, rows, tmp_path / "set", same, prompts=prompts).kept == 2


def test_a_bad_prompt_fails_its_row_and_is_named(rows: Manifest, listed: Path, tmp_path: Path) -> None:
    Audio(np.zeros(RATE, np.float32), RATE).write(listed / "b.wav")
    spoken = synthesize_set(Mimic(), rows, tmp_path / "set", prompts=choose(rows, listed))
    assert [f.id for f in spoken.failures] == ["a"]
    assert spoken.failures[0].reason == "with the prompt b.wav: reference: silent"
    (listed / "b.wav").write_bytes(b"no sound")
    prompts = {"a": Prompt(path=listed / "b.wav", name="b.wav")}
    spoken = synthesize_set(Mimic(), manifest(("a", "раз", "")), tmp_path / "other", prompts=prompts)
    assert "with the prompt b.wav" in spoken.failures[0].reason


def test_options_that_a_voice_lacks_are_refused_at_once(rows: Manifest, listed: Path, tmp_path: Path) -> None:
    class Plain(BaseVoice):
        capabilities = Capabilities(system="plain", options=frozenset({"rate"}))
        sample_rate = RATE

        def speak_text(self, text: str, options: SpeakOptions) -> Audio:
            raise AssertionError

    class Continues(Plain):
        capabilities = Capabilities(
            system="continuing",
            options=frozenset({"reference", "reference_text"}),
            needs_reference_text=True,
        )

    prompts = choose(rows, listed)
    for how, flag in (({"prompts": prompts}, "--prompts"), ({"lengths": {"a": 1.0}}, "--length")):
        with pytest.raises(UserError, match=f"{flag}: plain voices have no such option"):
            synthesize_set(Plain(), rows, tmp_path / "set", **how)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="--guidance"):
        synthesize_set(Plain(), rows, tmp_path / "set", SetConfig(guidance=1.0))
    wordless = {i: Prompt(path=p.path) for i, p in prompts.items()}
    with pytest.raises(UserError, match=r"the words of 2 prompts are not known.*prompt_text"):
        synthesize_set(Continues(), rows, tmp_path / "set", prompts=wordless)
    assert not (tmp_path / "set").exists()
