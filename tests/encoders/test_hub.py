"""A model named by people may be fetched; a model named by a file is only looked for on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from intona import hub
from intona.errors import UserError
from intona.evaluation.judges.recognizer_model import resolve_model
from intona.evaluation.judges.utmos import weights_file


def test_a_name_out_of_a_file_does_not_ask_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot(*_: Any, local_files_only: bool, **__: Any) -> str:
        asked.append(not local_files_only)
        raise OSError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(UserError, match="is not on this machine; name it yourself"):
        hub.fetch("somebody/voice", ask=False)
    with pytest.raises(UserError, match="cannot be fetched"):
        hub.fetch("somebody/voice")
    assert asked == [False, True]


@pytest.mark.parametrize("reads", [hub.fetch, resolve_model, weights_file])
def test_the_home_of_nobody(reads: Callable[[str], Path]) -> None:
    with pytest.raises(UserError, match="no such home directory"):
        reads("~nosuchuser/voice")


def test_the_file_that_is_hashed_is_the_one_that_is_read(tmp_path: Path) -> None:
    config, said = tmp_path / "config.json", {"model_type": "bert"}
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "other.safetensors").write_bytes(b"x")
    config.write_text(json.dumps(said))
    assert hub.fetch_kind(str(tmp_path), "bert") == tmp_path
    config.write_text(json.dumps(said | {"transformers_weights": "other.safetensors"}))
    with pytest.raises(UserError, match="names a file of weights; remove transformers_weights"):
        hub.fetch_kind(str(tmp_path), "bert")
    config.write_text(json.dumps(said))
    (tmp_path / hub.INDEX).write_text("{}")
    with pytest.raises(UserError, match="in several files"):
        hub.fetch_kind(str(tmp_path), "bert")
