"""`build_test`: from reports to a folder to publish and a key to keep private."""

from __future__ import annotations

import hashlib
import html
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from intona.audio import Audio
from intona.config import write_json
from intona.errors import UserError, unknown
from intona.evaluation.finished import Finished, find_audio, read_report, recall_wavs
from intona.evaluation.html.page import Html, document, tag
from intona.evaluation.listen import sound
from intona.evaluation.listen.kinds import KINDS, VERSION, Kind, Language, wording
from intona.evaluation.listen.order import Shuffler, fnv1a
from intona.evaluation.wavs import read_clip

ANCHOR, HIDDEN = "anchor (3.5 kHz)", "hidden reference"
MIN_ITEMS = 20


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The settings of a test.

    Args:
        systems: names to test; None = all.
        reference: of MUSHRA, or the other side of CMOS; None = the recording, else the first system.
        items: utterances drawn at random from those of which every system has audio.
        per_rater: items per rater, each with all systems; None = all items.
        checks: attention items.
    """

    kind: Kind
    systems: tuple[str, ...] | None = None
    reference: str | None = None
    items: int = MIN_ITEMS
    per_rater: int | None = None
    checks: int = 3
    seed: int = 0
    language: Language = "en"

    def check(self) -> None:
        if self.kind not in KINDS:
            unknown("kind of test", self.kind, KINDS)
        if self.items < 1:
            raise UserError(f"{self.items} is less than 1", where="--items")
        if self.per_rater is not None and not 1 <= self.per_rater <= self.items:
            raise UserError(f"{self.per_rater} is not between 1 and {self.items}", where="--per-rater")
        if not 0 <= self.checks <= 50:
            raise UserError(f"{self.checks} is not between 0 and 50", where="--checks")


@dataclass(frozen=True, kw_only=True)
class _Utterance:
    id: str
    text: str
    files: Mapping[str, Path]


def build_test(
    reports: Sequence[Path | str],
    test: Listening,
    out: Path | str,
    *,
    wavs: Mapping[str, Path] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Write `out/test/` (index.html and audio/, to be published) and `out/key.json` (to be kept private).

    Args:
        wavs: system -> folder with its audio, if the report does not state it (`wavs.json`).

    Returns:
        The key: system and item of each clip, the expected answer to each check, all settings.

    Raises:
        UserError: a report that is not finished or has no audio, systems without a common utterance, an `out`
            that is not empty.
    """
    test.check()
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("already exists", where=out, hint="name a new folder")
    sources = [read_report(r) for r in reports]
    if not sources:
        raise UserError("no report", hint="intona listen REPORT --kind mos --output DIR")
    folders = _folders(sources, wavs or {})
    systems = _systems(folders, test)
    reference = _reference(sources, systems, test)
    items, left_out = _items(sources, folders, systems, test)
    code = hashlib.sha256(
        json.dumps([VERSION, repr(test), systems, [[i.id, i.text] for i in items]]).encode()
    ).hexdigest()[:12]

    clips, rate = _clips(items, systems, progress)
    if test.kind == "mushra":
        assert reference is not None
        for item in items:
            clips[item.id, HIDDEN] = clips[item.id, reference]
            clips[item.id, ANCHOR] = sound.anchor(clips[item.id, reference])
        systems = [HIDDEN, *[s for s in systems if s != reference], ANCHOR]
    target = sound.common_target(list(clips.values()))
    secret = f"{code}|{test.seed}"
    files: dict[str, Audio] = {}
    names: dict[tuple[str, str], str] = {}
    for (item, system), audio in clips.items():
        name = _blind(secret, item, system) + ".flac"
        names[item, system] = name
        files[name] = sound.equalized(audio, target)
    trials, key_trials = _trials(items, systems, reference, names, test, secret)
    checks, key_checks = _checks(systems, files, rate, target, test, secret)
    public = {
        "id": code,
        "kind": test.kind,
        "version": VERSION,
        "low": KINDS[test.kind].low,
        "high": KINDS[test.kind].high,
        "per_rater": test.per_rater,
        "trials": sorted(trials, key=lambda t: t["id"]),
        "checks": sorted(checks, key=lambda t: t["id"]),
        "words": wording(test.kind, test.language),
    }
    key = {
        "version": 1,
        "test": code,
        "kind": test.kind,
        "wording": VERSION,
        "language": test.language,
        "question": public["words"]["question"],
        "seed": test.seed,
        "systems": systems,
        "reference": reference,
        "items": [{"id": i.id, "text": i.text} for i in items],
        "per_rater": test.per_rater,
        "clips": {names[place]: {"item": place[0], "system": place[1]} for place in names},
        "trials": key_trials,
        "checks": key_checks,
        "left_out": left_out,
        "loudness": f"{target:.2f} LUFS (ITU-R BS.1770-4), one gain per clip, no limiter",
        "sample_rate": rate,
        "manifests": [s.report.manifest_sha256 for s in sources],
    }
    _write(out, public, key, files, test.language)
    return key


def _folders(sources: Sequence[Finished], wavs: Mapping[str, Path]) -> dict[str, tuple[Finished, Path]]:
    """The folder of each system's audio. Reports may share a system only if it has the same audio."""
    folders: dict[str, tuple[Finished, Path]] = {}
    for report in sources:
        known = {**recall_wavs(report.directory), **wavs}
        for name in report.systems:
            if name not in known:
                continue
            folder = Path(known[name])
            if not folder.is_dir():
                raise UserError("no such folder", where=folder, hint=f'--wavs "{name}=FOLDER"')
            if name in folders and folders[name][1].resolve() != folder.resolve():
                raise UserError(
                    f'two reports have a system "{name}" with different audio',
                    where=report.directory,
                    hint="evaluate one of them under another name",
                )
            folders.setdefault(name, (report, folder))
    for name in wavs:
        if name not in folders:
            unknown("system", name, [s for r in sources for s in r.systems], where="--wavs")
    if not folders:
        raise UserError(
            "the report does not state where its audio is",
            where=sources[0].directory,
            hint=f'--wavs "{sources[0].systems[0]}=FOLDER"',
        )
    return folders


def _systems(folders: Mapping[str, tuple[Finished, Path]], test: Listening) -> list[str]:
    chosen = list(dict.fromkeys(test.systems or folders))
    for name in chosen:
        if name not in folders:
            unknown("system with audio", name, folders)
    if test.kind in ("cmos", "mushra") and len(chosen) < 2:
        raise UserError(f"{test.kind} compares at least two systems, found {len(chosen)}")
    return chosen


def _reference(sources: Sequence[Finished], systems: Sequence[str], test: Listening) -> str | None:
    if test.kind not in ("cmos", "mushra"):
        return None
    if test.reference is not None:
        if test.reference not in systems:
            unknown("system", test.reference, systems, where="--reference")
        return test.reference
    recording = sources[0].report.recording
    if recording in systems:
        return recording
    if test.kind == "mushra":
        raise UserError("MUSHRA needs a reference", hint="--reference NAME")
    return systems[0]


def _items(
    sources: Sequence[Finished],
    folders: Mapping[str, tuple[Finished, Path]],
    systems: Sequence[str],
    test: Listening,
) -> tuple[list[_Utterance], list[dict[str, str]]]:
    """Utterances of which every system has audio, drawn by the seed; the others with the reason."""
    rows = sources[0].rows
    shared = [i for i in rows if all(s.rows.get(i) and s.rows[i].text == rows[i].text for s in sources)]
    if not shared:
        raise UserError("these reports have no utterance in common", where=sources[-1].directory)
    audio = {name: find_audio(folders[name][1], shared) for name in systems}
    items, left_out = [], []
    for utterance in Shuffler(fnv1a(f"items|{test.seed}")).shuffled(sorted(shared)):
        if len(items) == test.items:
            break
        bad = next((s for s in systems if read_clip(audio[s].get(utterance)).audio is None), None)
        if bad is not None:
            left_out.append({"id": utterance, "why": f"no usable audio of {bad}"})
            continue
        files = {s: audio[s][utterance] for s in systems}
        items.append(_Utterance(id=utterance, text=rows[utterance].text, files=files))
    if not items:
        raise UserError("no utterance has audio of every system", hint="leave a system out with --systems")
    return items, left_out


def _clips(
    items: Sequence[_Utterance], systems: Sequence[str], progress: Callable[[int, int, str], None] | None
) -> tuple[dict[tuple[str, str], Audio], int]:
    """All clips at the highest sample rate among them, so that file headers do not reveal the systems."""
    clips: dict[tuple[str, str], Audio] = {}
    for number, item in enumerate(items):
        for system in systems:
            audio = read_clip(item.files[system]).audio
            assert audio is not None  # checked when the items were drawn
            clips[item.id, system] = audio
        if progress:
            progress(number + 1, len(items), "clips")
    rate = max(c.sample_rate for c in clips.values())
    return {place: c.resample(rate) for place, c in clips.items()}, rate


def _blind(secret: str, *parts: str) -> str:
    return hashlib.sha256("\0".join((secret, *parts)).encode()).hexdigest()[:16]


def _trials(
    items: Sequence[_Utterance],
    systems: Sequence[str],
    reference: str | None,
    names: Mapping[tuple[str, str], str],
    test: Listening,
    secret: str,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    trials, key = [], {}
    for item in items:
        if test.kind == "cmos":
            sets = [(reference, s) for s in systems if s != reference]
        elif test.kind == "mushra":
            sets = [tuple(systems)]
        else:
            sets = [(s,) for s in systems]
        for chosen in sets:
            name = _blind(secret, "trial", item.id, *map(str, chosen))
            trial: dict[str, Any] = {"id": name, "group": _blind(secret, "group", item.id)}
            trial["clips"] = sorted(names[item.id, str(s)] for s in chosen)
            if test.kind == "mushra":
                trial["reference"] = names[item.id, str(reference)]
            trials.append(trial)
            key[name] = {"item": item.id, "systems": list(chosen)}
    return trials, key


def _checks(
    systems: Sequence[str],
    files: dict[str, Audio],
    rate: int,
    target: float,
    test: Listening,
    secret: str,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Attention items: beeps to be counted, in trials of the same form as all others."""
    draw = Shuffler(fnv1a(f"checks|{secret}"))
    width = {"cmos": 2, "mushra": len(systems)}.get(test.kind, 1)
    trials, key = [], {}
    for number in range(test.checks):
        pool = draw.shuffled(list(range(1, 10 if test.kind == "mushra" else 6)))
        counts = [pool[i % len(pool)] for i in range(width)]
        clips = {}
        for place, count in enumerate(counts):
            name = _blind(secret, "check", str(number), str(place)) + ".flac"
            files[name] = sound.equalized(sound.beeps(count, rate), target)
            clips[name] = count
        name = _blind(secret, "trial", "check", str(number))
        trial: dict[str, Any] = {"id": name, "group": _blind(secret, "group", "check", str(number))}
        trial["clips"] = sorted(clips)
        if test.kind == "mushra":
            trial["reference"] = _blind(secret, "check", str(number), "reference") + ".flac"
            files[trial["reference"]] = sound.equalized(sound.beeps(10, rate), target)
        trials.append(trial)
        key[name] = {"beeps": clips}
    return trials, key


def _write(out: Path, public: Mapping[str, Any], key: Any, files: Mapping[str, Audio], language: str) -> None:
    """Write under a temporary name first, so that a folder that exists is a complete test."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        audio = temporary / "test" / "audio"
        audio.mkdir(parents=True)
        for name in sorted(files):
            files[name].write(audio / name)
        (temporary / "test" / "index.html").write_text(_page(public, language), encoding="utf-8")
        write_json(temporary / "key.json", key)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _page(public: Mapping[str, Any], language: str) -> str:
    here = resources.files("intona.evaluation.listen")
    # Data, not a script: nothing in it can close the element that contains it.
    data = json.dumps(public, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026")
    body = Html(f'<script type="application/json" id="test">{data}</script>\n')
    title = str(public["words"]["title"])
    noscript = tag("noscript", "This test needs JavaScript.")
    body = Html(f'{body}<main id="app" aria-live="off"><h1>{html.escape(title)}</h1>{noscript}</main>')
    return document(
        title,
        style=here.joinpath("listen.css").read_text(encoding="utf-8"),
        script=here.joinpath("listen.js").read_text(encoding="utf-8"),
        body=body,
        language=language,
        media="'self' file:",
    )
