"""`intona publish --push`: a model becomes a commit of a repository, and can be used from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from intona import checkpoint, cli, encoders, hf, hf_upload
from intona.config import to_dict
from intona.encoders.dual_stream import DualStreamConfig, DualStreamEncoder
from intona.text import PhonemeTokenizer
from intona.training.text_encoder import EncoderSource

ADDRESS = "hf://owner/enc"
SIZES = DualStreamConfig(
    n_tokens=9, n_pieces=12, dim=16, heads=2, hidden=16, stream_layers=1, shared_layers=1, out=16
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of a text encoder."""
    state = {f"model.encoder.{k}": v for k, v in DualStreamEncoder(SIZES).state_dict().items()}
    config = {"stage": "prosody.contrastive", "size": "toy", "corpus": "ab12", "loop": {"seed": 4}}
    files = {
        "config.json": config,
        "encoder.json": to_dict(SIZES),
        "tokenizer.json": PhonemeTokenizer.build([tuple("abcdefg")]).to_json(),
    }
    checkpoint.save(tmp_path / "run", 7, tensors={"model": state, "ema": state}, files=files)
    return tmp_path / "run"


def _push(*words: object, to: str = ADDRESS) -> int:
    return cli.main(["publish", *map(str, words), "--push", to])


@pytest.mark.usefixtures("sign_in")
def test_a_model_goes_to_the_hub_and_comes_back(
    hub: Any, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "lexicon.txt").write_text("nginx = энджин+икс\n", encoding="utf-8")
    out = tmp_path / "shelf/enc"
    assert _push(run, out, "--language", "ru", "--licence", "MIT", "--summary", "a | b: 'c'") == 0
    repository = hub.repositories["owner/enc"]
    commit = repository.refs["main"]
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == f"{hub.url}/owner/enc: created, {ADDRESS}@{commit}"
    assert f"use it: intona train prosody.gradtts --encoder {ADDRESS}" in shown.err
    files = repository.commits[commit]
    assert files.keys() == {p.name for p in out.iterdir()} | {"README.md", ".gitattributes"}
    assert all(files[p.name] == p.read_bytes() for p in out.iterdir())
    assert not repository.private
    ours, theirs = encoders.load(ADDRESS).state_dict(), encoders.load(out).state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours.keys() | theirs.keys())
    # --encoder is a path for the command line, which makes hf:/owner of hf://owner.
    identity = EncoderSource.of(Path(ADDRESS), published=False).identity()
    assert identity.startswith(f"{ADDRESS}@{commit}:")


@pytest.mark.usefixtures("sign_in")
def test_without_a_folder_it_is_only_uploaded(
    hub: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _push(run, "--private") == 0
    assert hub.repositories["owner/enc"].private
    assert capsys.readouterr().out.startswith(f"{ADDRESS}: encoder")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["run"]
    encoders.load(ADDRESS)


@pytest.mark.usefixtures("sign_in")
def test_again_is_a_new_commit_without_stale_files(hub: Any, run: Path) -> None:
    (run / "lexicon.txt").write_text("nginx = энджин+икс\n", encoding="utf-8")
    assert _push(run) == 0
    repository = hub.repositories["owner/enc"]
    first = repository.refs["main"]
    repository.commit({**repository.commits[first], "samples.wav": b"x", "NOTICE.md": b"x"})
    (run / "lexicon.txt").unlink()
    assert _push(run, "--summary", "better") == 0
    files = repository.commits[repository.refs["main"]]
    assert files.keys() >= {"samples.wav", "NOTICE.md", "model.safetensors"} and "lexicon.txt" not in files
    assert json.loads(files["card.json"])["summary"] == "better"
    assert "lexicon.txt" in repository.commits[first]
    assert hf.download(f"{ADDRESS}@{first}") != hf.download(ADDRESS)


@pytest.mark.usefixtures("sign_in")
def test_another_model_is_not_overwritten(hub: Any, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = json.dumps({"kind": "voice", "system": "prosody.gradtts --size small", "language": "ru"}).encode()
    repository = hub.add("owner/enc", {"card.json": card, "files.json": b"{}", "voices.json": b"{}"})
    before = repository.refs["main"]
    assert _push(run) == 1
    error = capsys.readouterr().err
    assert "holds another model (voice, prosody.gradtts, ru, not encoder, prosody.contrastive)" in error
    assert "--replace" in error and repository.refs["main"] == before
    hub.add("owner/other", {"pytorch_model.bin": b"x"})
    assert _push(run, to="hf://owner/other") == 1
    assert "other: holds something else than a model of intona" in capsys.readouterr().err
    assert _push(run, "--replace") == 0
    assert "voices.json" not in repository.commits[repository.refs["main"]]
    encoders.load(ADDRESS)


@pytest.mark.usefixtures("sign_in")
def test_branches(hub: Any, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _push(run, to=f"{ADDRESS}@v1") == 0
    repository = hub.repositories["owner/enc"]
    assert repository.refs["v1"] != repository.refs["main"]
    assert f"{hub.url}/owner/enc/tree/v1: created" in capsys.readouterr().out
    assert _push(run, to=f"{ADDRESS}@v1") == 0  # nothing has changed
    assert _push(run, to=f"{ADDRESS}@{repository.refs['v1']}") == 1
    assert "a commit cannot be changed" in capsys.readouterr().err


def test_who_may_not_write(
    hub: Any, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("owner/enc", {})
    for token, to, message in (
        ("", "hf://owner/new", "new: the access token is missing or not valid; sign in with `hf auth login`"),
        ("", ADDRESS, "enc: the access token does not allow this"),
        ("hf_wrong", ADDRESS, "enc: the access token is missing or not valid"),
        ("hf_owner", "hf://stranger/new", "new: the access token does not allow this; use a token"),
    ):
        monkeypatch.setenv("HF_TOKEN", token)
        assert _push(run, to=to) == 1
        assert message in capsys.readouterr().err
    hub.status = 503
    assert _push(run) == 1
    assert "answered with status 503" in capsys.readouterr().err


def test_options_that_do_not_fit(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        ([run], "no folder to write to"),
        ([run, tmp_path / "out", "--private"], "has an effect on uploads only"),
        ([run, "--push", "owner/enc"], "not an address of the Hugging Face Hub"),
    ):
        assert cli.main(["publish", *map(str, words)]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [("Apache-2.0", "apache-2.0"), ("weights: MIT; recordings: BSD-like", "other"), ("", None)],
)
def test_the_readme_has_the_metadata_of_the_hub(licence: str, identifier: str | None) -> None:
    card = {
        "kind": "voice",
        "system": "prosody.gradtts --size small",
        "language": "ru, en",
        "summary": "one | two\n---\ntags: [evil]",
        "licence": licence,
        "parameters": 6_500_000,
        "figures": {"WER": "0.2 [0.1, 0.3]", "recordings": {"WER": 0.1}},
    }
    text = hf_upload.readme(card, hf.parse("hf://owner/voice@v1"))
    metadata, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(metadata) == {
        "language": ["ru", "en"],
        **({"license": identifier} if identifier else {}),
        "library_name": "intona",
        "pipeline_tag": "text-to-speech",
        "tags": ["intona", "text-to-speech", "speech-synthesis"],
    }
    assert "\n---\n" not in body and "| recordings | WER 0.1 |" in body
    assert 'intona.load("hf://owner/voice")' in body


@pytest.mark.slow
def test_a_shipped_voice_by_its_address(serving_hub: Any, root: Path, tmp_path: Path) -> None:
    """The command line: upload, speech, speech without a network. The audio is the same."""
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "HF_TOKEN")},
        **{"HF_ENDPOINT": serving_hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_owner"},
        "HF_HUB_DISABLE_XET": "1",
    }

    def intona(*words: str, **more: str) -> str:
        command = [sys.executable, "-m", "intona", *words]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    intona("publish", str(root / "models/ru-en"), "local", "--push", "hf://owner/ru")
    words = ("say", "Добрый день!", "--vocoder", "vocoder-draft", "--model")
    intona(*words, str(tmp_path / "local"), "-o", "local.wav")
    messages = intona(*words, "hf://owner/ru", "-o", "hub.wav")
    commit = serving_hub.repositories["owner/ru"].refs["main"]
    assert f"hf://owner/ru: revision {commit}" in messages
    serving_hub.requests.clear()
    intona(*words, "hf://owner/ru", "-o", "offline.wav", HF_HUB_OFFLINE="1")
    assert serving_hub.requests == []
    audio = [(tmp_path / f"{n}.wav").read_bytes() for n in ("local", "hub", "offline")]
    assert audio[0] == audio[1] == audio[2]
