"""The Containerfile and the examples of deployment: what can be checked without a container engine."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tyro
import yaml

from intona.cli.serve import Serve


def _script(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, root / f"scripts/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checks(root: Path) -> ModuleType:
    return _script(root, "check_container")


@pytest.fixture(scope="module")
def steps(root: Path, checks: ModuleType) -> list[tuple[str, str]]:
    return checks.instructions((root / "Containerfile").read_text(encoding="utf-8"))


def options(words: list[str]) -> Serve:
    """The options of a command line `… intona serve OPTION …`."""
    assert words[0].endswith("intona") and words[1] == "serve"
    return tyro.cli(Serve, args=words[2:])


def test_the_server_of_the_image(steps: list[tuple[str, str]]) -> None:
    last = dict(steps)
    request = options(json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"]))
    assert (request.host, request.models, request.no_auth) == ("0.0.0.0", "ru", False)
    assert last["EXPOSE"] == str(request.port)
    names = [name for name, _ in steps]
    user = next(rest for name, rest in steps if name == "USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user) and names.count("USER") == 1
    assert "RUN" not in names[names.index("USER") :]  # nothing is installed as that user


def test_its_arguments(root: Path, checks: ModuleType, steps: list[tuple[str, str]]) -> None:
    values = checks.arguments(steps, {})
    assert values["TORCH"] == ""  # the default voice needs none
    tested = re.search(r"^TORCH \?= (\S+)$", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert tested is not None
    for file in ("Containerfile", "docs/guide/deploy.md"):
        assert f"--build-arg TORCH={tested[1]}" in (root / file).read_text(encoding="utf-8")
    lines = _script(root, "requirements").requirements(root / "pyproject.toml", values["EXTRAS"])
    assert any(line.startswith("uvicorn") for line in lines)
    with pytest.raises(SystemExit, match="no ARG EXTRA"):
        checks.arguments(steps, {"EXTRA": "x"})
    wrong = [sys.executable, str(root / "scripts/requirements.py"), "serv"]
    done = subprocess.run(wrong, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and 'no extra "serv"; known: ' in done.stderr


def test_the_context_holds_what_is_copied_and_no_more(
    root: Path, checks: ModuleType, steps: list[tuple[str, str]], tmp_path: Path
) -> None:
    ignore = (root / ".containerignore").read_text(encoding="utf-8")
    assert ignore == (root / ".dockerignore").read_text(encoding="utf-8")
    rules = checks.rules_of(root / ".containerignore")
    for name, rest in steps:
        if name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                if source not in ("models", "src"):  # large
                    checks.copy(source, tmp_path / target, rules)
    assert (tmp_path / "pyproject.toml").is_file() and (tmp_path / "scripts/requirements.py").is_file()
    for path in ("src/intona/cli/say.py", "models/ru-en/card.json"):
        assert not checks.is_ignored(path, rules)
    for path in (
        ".git/config",
        ".env",
        "tests/conftest.py",
        "data/a.wav",
        "src/intona/__pycache__/a.pyc",
        "runs/a",
    ):
        assert checks.is_ignored(path, rules)


def test_commands_are_joined_and_comments_left_out(checks: ModuleType) -> None:
    text = "# a\nFROM x\nRUN a \\\n    # b\n    && b\nENV A=1 \\\n    B=2\n"
    assert checks.instructions(text) == [("FROM", "x"), ("RUN", "a && b"), ("ENV", "A=1 B=2")]


def test_the_compose_example(root: Path, checks: ModuleType, steps: list[tuple[str, str]]) -> None:
    file = root / "examples/compose.yaml"
    compose: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    services, volumes = compose["services"], set(compose["volumes"])
    intona = services["intona"]
    last = dict(steps)
    assert (file.parent / intona["build"]["context"] / intona["build"]["dockerfile"]).is_file()
    request = options(json.loads(last["ENTRYPOINT"]) + intona["command"])
    assert intona["healthcheck"]["test"] == ["CMD", *json.loads(last["HEALTHCHECK"].partition("CMD ")[2])]
    for service, prefix in (("open-webui", "AUDIO_TTS"), ("wyoming", "TTS")):
        environment = services[service]["environment"]
        (address,) = (v for k, v in environment.items() if k.endswith("URL"))
        assert address == f"http://intona:{request.port}/v1"
        voice, model = (
            environment[next(k for k in environment if k.startswith(f"{prefix}_{w}"))]
            for w in ("VOICE", "MODEL")
        )
        assert voice == model == request.models
        assert "${INTONA_API_KEY}" in environment.values()
    mounted = {v.partition(":")[0] for s in services.values() for v in s.get("volumes", ())}
    assert mounted == volumes
    # What others reach is a choice of its own: the server and the page are open to this machine only.
    assert all(p.startswith("127.0.0.1:") for s in ("intona", "open-webui") for p in services[s]["ports"])


def test_the_unit_of_systemd(root: Path) -> None:
    text = (root / "examples/intona.service").read_text(encoding="utf-8")
    command = re.findall(r"^ExecStart=(.*)$", text, flags=re.MULTILINE)[0]
    request = options(shlex.split(command))
    assert request.host == "0.0.0.0" and str(request.api_key_file) == "%d/api-key"
