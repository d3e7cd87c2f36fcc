"""What a checkpoint records of other packages, and what happens where they are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from intona import checkpoint, provenance, registry
from intona.errors import UserError
from intona.systems.gradtts import stage as gradtts
from intona.training.state import files_of


def saved(folder: Path, written: Any) -> Path:
    """A checkpoint with this provenance.json; text is written as it stands, None not at all."""
    path = checkpoint.save(folder, 1, tensors={"model": {"w": torch.zeros(1)}}, files={"config.json": {}})
    if written is not None:
        text = written if isinstance(written, str) else json.dumps(written)
        (path / "provenance.json").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("encoders/theirs", "text encoder"),
        ("stages/their.stage", "stage"),
        ("voices/theirs", "kind of voice"),
        ("vocoders/theirs", "vocoder"),
        ("latents/theirs", "latent space"),
    ],
)
def test_a_checkpoint_with_a_missing_part_names_the_package(key: str, kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "run", {"parts": {key: "their-package 3.1"}})
    name = key.partition("/")[2]
    message = rf'needs the {kind} "{name}" of their-package 3\.1, .*; pip install their-package'
    for place in (path, path.parent):
        with pytest.raises(UserError, match=message):
            checkpoint.resolve(place)


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "{",
        "[]",
        {},
        {"parts": None},
        {"parts": ["encoders/theirs"]},
        {"parts": {"encoders/plain": "intona 9"}},
        {"parts": {"hats/theirs": "their-package 3.1"}},
        {"parts": {"": 3}},
    ],
)
def test_other_records_are_no_obstacle(written: Any, tmp_path: Path) -> None:
    """None, a damaged one, parts that are here, a group that this version does not have."""
    path = saved(tmp_path / "run", written)
    assert checkpoint.resolve(tmp_path / "run") == path


def test_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage, the parts of the config and the kinds in the files; nothing where all are intona's."""
    parts_seen: list[tuple[str, str]] = []

    def third_party(parts: Any) -> dict[str, str]:
        parts_seen.extend(parts)
        return {"stages/prosody.gradtts": "other 1"}

    files = {"voices.json": {"kind": "ditto"}, "vocoder.json": {"kind": "vocos"}, "stats.json": {"kind": "x"}}
    config = gradtts.toy()
    assert "parts" not in files_of(config, files)["provenance.json"]
    monkeypatch.setattr(registry, "third_party", third_party)
    assert files_of(config, files)["provenance.json"]["parts"] == {"stages/prosody.gradtts": "other 1"}
    assert parts_seen == [
        ("stages", "prosody.gradtts"),
        ("encoders", "plain"),
        ("voices", "ditto"),
        ("vocoders", "vocos"),
    ]
    assert provenance.describe([("encoders", "plain")])["parts"]
