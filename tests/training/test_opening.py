"""What a run says before its first step: ten lines, and the whole config where it is asked for."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest
import torch

from intona import checkpoint, registry
from intona import config as configs
from intona.systems.gradtts.stage import SIZES
from intona.systems.meld.codebook import small as codebook
from intona.training.opening import log, log_opening, opening_lines
from intona.training.stage import stage_of

FACTS = {"parameters": "7.10 M", "utterances": 560}


def test_a_run_opens_with_ten_lines(tmp_path: Path) -> None:
    config = dataclasses.replace(SIZES["toy"](), corpus="abc")
    run = tmp_path / "run"
    lines = opening_lines(config, run, FACTS)
    assert 6 <= len(lines) <= 10 and all(len(line) < 200 for line in lines)
    text = "\n".join(lines)
    for part in ("prosody.gradtts, size toy", "abc", "7.10 M", "560", f"{config.loop.steps}", f"{run}, new"):
        assert part in text
    assert "config.json" in lines[-1]
    checkpoint.save(run, 30, tensors={"model": {"w": torch.zeros(1)}}, files={"config.json": {}})
    assert "resumed at step 30" in "\n".join(opening_lines(config, run, FACTS))


def test_a_config_without_a_loop_opens_too(tmp_path: Path) -> None:
    assert opening_lines(codebook(), tmp_path / "run", {"codes": 1024})[0].endswith(
        "meld.codebook, size small"
    )


@pytest.mark.usefixtures("messages_on_stderr")
def test_the_whole_config_is_a_matter_of_the_log_level(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SIZES["toy"]()
    log_opening(config, tmp_path / "run", FACTS)
    assert "{" not in capsys.readouterr().err
    log.setLevel(logging.DEBUG)
    request.addfinalizer(lambda: log.setLevel(logging.NOTSET))
    log_opening(config, tmp_path / "run", FACTS)
    output = capsys.readouterr().err
    assert json.loads(output[output.index("{") :]) == json.loads(json.dumps(configs.to_dict(config)))


@pytest.mark.parametrize("stage", registry.names("stages"))
def test_every_stage_says_its_name_and_size(stage: str, tmp_path: Path) -> None:
    config = stage_of(stage).sizes["toy"]()
    assert opening_lines(config, tmp_path / "run", {})[0].endswith(f"{stage}, size toy")
