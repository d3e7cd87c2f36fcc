"""A model named by people may be fetched; a model named by a file is only looked for on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from intona import hub
from intona.errors import UserError
from intona.evaluation.asr import resolve_model
from intona.evaluation.utmos import weights_file


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
