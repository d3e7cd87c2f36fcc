"""Models of the hub: what is downloaded, what is refused, and what happens without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from intona import cli, file_index, hf, models
from intona.errors import UserError

NAME = "hf://owner/voice"


def model(tmp_path: Path, kind: str = "voice", **more: bytes) -> dict[str, bytes]:
    """The files of a small published model."""
    folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    files = {
        "model.safetensors": b"weights",
        "config.json": b"{}",
        "card.json": json.dumps({"kind": kind}).encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    file_index.write_index(folder, list(files))
    return {**files, "files.json": (folder / "files.json").read_bytes(), **more}


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("hf://owner/voice", "owner/voice", None),
        ("hf://owner/voice@v1.0", "owner/voice", "v1.0"),
        ("hf://o/v-1_x.y@refs/pr/3", "o/v-1_x.y", "refs/pr/3"),
        (Path("hf://owner/voice@main"), "owner/voice", "main"),
    ],
)
def test_addresses(text: str | Path, repository: str, revision: str | None) -> None:
    assert hf.is_address(text)
    address = hf.parse(text)
    assert (address.repository, address.revision) == (repository, revision)
    assert hf.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "hf://",
            "hf://voice",
            "hf://a/b/c",
            "hf://a/b@",
            "hf:///a/b",
            "hf://../b",
            "hf://a/..",
            "hf://a/b@..",
        ),
        *(
            "hf://a/b@../../x",
            "hf://a/b@x/../y",
            "hf://a/b@/x",
            "hf://a--b/c",
            "hf://a/b\n",
            "hf://a/b\0",
            "hf://а/b",
        ),
        *(
            "hf://a/b?x",
            "hf://a/b#x",
            "hf://u:p@a/b",
            "hf://datasets/a/b",
            "hf://a/" + "b" * 100,
            "hf://a/b@-x",
        ),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UserError, match=r"not an address of the Hugging Face Hub; hf://OWNER/NAME"):
        models.find(text)


def test_only_safe_files_of_the_top_folder_are_downloaded(hub: Any, tmp_path: Path) -> None:
    others = {
        "pytorch_model.bin": b"x",
        "evil.py": b"x",
        "sub/more.json": b"{}",
        "w.pt": b"x",
        "README.md": b"#",
    }
    hub.add("owner/voice", model(tmp_path, **others))
    directory = hf.download(NAME)
    names = {"model.safetensors", "config.json", "card.json", "files.json", "README.md"}
    assert {p.name for p in directory.iterdir()} == names
    assert hub.downloads() == names
    assert models.read_card(directory).kind == "voice"


def test_a_second_call_needs_no_network(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.add("owner/voice", model(tmp_path)).refs["main"]
    caplog.set_level("INFO", "intona.hf")
    directory = hf.download(NAME)
    assert f"{NAME}: revision {commit}" in caplog.text
    assert hf.origin(directory) == hf.pin(NAME) == f"{NAME}@{commit}"
    sent = len(hub.downloads())
    hub.requests.clear()
    assert hf.download(NAME) == directory and sent
    assert hub.downloads() == set()  # only the revision was looked up
    hub.requests.clear()
    assert hf.download(f"{NAME}@{commit}") == directory
    assert hub.requests == []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hf.download(NAME) == directory == hf.download(f"{NAME}@main")
    with pytest.raises(UserError, match="other: is not in the cache, and HF_HUB_OFFLINE is set"):
        hf.download("hf://owner/other")
    with pytest.raises(UserError, match="is not in the cache, and HF_HUB_OFFLINE is set"):
        hf.download(f"{NAME}@{'0' * 40}")
    assert hub.requests == []


def test_the_cache_serves_when_the_hub_does_not(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/voice", model(tmp_path))
    directory = hf.download(NAME)
    hub.status = 503
    assert hf.download(NAME) == directory
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hf.download(NAME) == directory
    with pytest.raises(UserError, match="other: is not in the cache, and the hub cannot be reached; check"):
        hf.download("hf://owner/other")


def test_revisions(hub: Any, tmp_path: Path) -> None:
    repository = hub.add("owner/voice", model(tmp_path))
    first = repository.refs["main"]
    second = repository.commit(model(tmp_path, kind="encoder"))
    repository.refs["v1"] = first
    assert [hf.download(f"{NAME}{r}").name for r in ("@v1", "", f"@{first}")] == [first, second, first]
    with pytest.raises(UserError, match='voice@v2: has no revision "v2"; name a branch'):
        hf.download(f"{NAME}@v2")


def test_a_kind_that_does_not_fit(hub: Any, tmp_path: Path) -> None:
    hub.add("owner/voice", model(tmp_path, kind="vocoder"))
    with pytest.raises(UserError, match="is a model of kind vocoder, not voice"):
        models.find(NAME, kind="voice")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model.safetensors": b"weightz"},
            "model.safetensors: damaged: its checksum differs; delete .* try again",
        ),
        ({"model.safetensors": b"short"}, "truncated: 5 bytes of 7"),
        ({"restyle.json": b"{}"}, "restyle.json is not in files.json"),
        ({"files.json": b"[]"}, "not a file index"),
        (
            {"files.json": b'{"../../refs/main": {"bytes": 1}}'},
            "lists '../../refs/main', which is not downloaded",
        ),
        ({"files.json": b'{"pytorch_model.bin": {"bytes": 1}}'}, "lists 'pytorch_model.bin', which is not"),
        ({"a\nb.json": b"{}"}, r"unusual name, 'a\\nb.json'"),
        ({f"{i}.json": b"{}" for i in range(200)}, "204 files, more than 100"),
    ],
)
def test_a_repository_that_is_damaged_or_hostile(
    hub: Any, tmp_path: Path, change: dict[str, bytes], message: str
) -> None:
    hub.add("owner/voice", {**model(tmp_path), **change})
    with pytest.raises(UserError, match=message) as caught:
        hf.download(NAME)
    assert "\n" not in str(caught.value)


def test_large_files_are_refused_before_the_download(hub: Any, tmp_path: Path) -> None:
    hub.add("owner/voice", model(tmp_path))
    for name, size in (("config.json", 65 << 20), ("model.safetensors", 5 << 30)):
        hub.sizes = {name: size}
        with pytest.raises(UserError, match=rf"{name} is {size / 1e6:.0f} MB, at most"):
            hf.download(NAME)
    assert hub.downloads() == set()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"pytorch_model.bin": b"x", "config.json": b"{}"},
            "pytorch_model.bin is not read, since .* contain code",
        ),
        ({"README.md": b"x"}, "holds no model: it has no .safetensors file"),
        ({"model.safetensors": b"x", "config.json": b"{}"}, "not a model of intona: it has no files.json"),
    ],
)
def test_what_is_not_a_model_of_ours(hub: Any, files: dict[str, bytes], message: str) -> None:
    hub.add("owner/voice", files)
    with pytest.raises(UserError, match=message):
        hf.download(NAME)
    assert hub.downloads() == set()


def test_access(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("owner/private", model(tmp_path), private=True)
    hub.add("owner/gated", model(tmp_path), gated=True)
    with pytest.raises(UserError, match=r"nothing: no such repository, or a private one; .* `hf auth login`"):
        hf.download("hf://owner/nothing")
    with pytest.raises(UserError, match="private: no such repository, or a private one"):
        hf.download("hf://owner/private")
    with pytest.raises(UserError, match="gated: is gated"):
        hf.download("hf://owner/gated")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match="token is missing or not valid; sign in"):
        hf.download("hf://owner/private")
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    assert hf.download("hf://owner/private").is_dir() and hf.download("hf://owner/gated").is_dir()


@pytest.mark.parametrize(
    ("status", "message"), [(429, "refuses further requests"), (418, "status 418"), (200, "makes no sense")]
)
def test_a_hub_that_does_not_answer_as_one(hub: Any, status: int, message: str) -> None:
    hub.status = status
    with pytest.raises(UserError, match=message):
        hf.download(NAME)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        UserError, match=r"huggingface_hub, which is not installed; pip install 'intona\[hub\]'"
    ):
        models.find(NAME)


def test_origin_is_of_the_cache_only(tmp_path: Path) -> None:
    assert hf.origin(tmp_path / "models--owner--voice" / "snapshots" / "abc") == f"{NAME}@abc"
    assert hf.origin(tmp_path) is None and hf.origin(Path("/")) is None


def test_the_cache_may_share_its_blobs(hub: Any, tmp_path: Path) -> None:
    """As huggingface_hub 2 does with weights: snapshots/COMMIT/FILE -> blobs/HASH -> CACHE/blobs/XX/HASH."""
    hub.add("owner/voice", model(tmp_path))
    directory = hf.download(NAME)
    blob = (directory / "model.safetensors").resolve()
    shared = tmp_path / "cache/blobs/aa" / blob.name
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    assert hf.download(NAME) == directory


def test_links_of_a_checkpoint_may_lead_into_the_cache_alone(tmp_path: Path) -> None:
    snapshot, secret = tmp_path / "models--o--v/snapshots/abc", tmp_path / "secret"
    snapshot.mkdir(parents=True)
    secret.write_bytes(b"x")
    (snapshot / "model.safetensors").symlink_to(secret)
    file_index.write_index(snapshot, ["model.safetensors"])
    with pytest.raises(UserError, match="leads out of the checkpoint"):
        file_index.verify(snapshot)


def test_voices_of_the_hub_are_served(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve = pytest.importorskip("intona.serve.voices")
    repository = hub.add("owner/voice", model(tmp_path))
    first = repository.refs["main"]
    voices = serve.Voices(["ru", NAME, "ru"])
    assert voices.names == ("ru", "owner/voice") and voices.cards["owner/voice"].name == "owner/voice"
    assert voices.select("owner/voice", "owner/voice:anna") == ("owner/voice", "anna", False)
    repository.commit(model(tmp_path, kind="vocoder"))
    loaded: list[str] = []

    def load(name: str, **_: object) -> Any:
        loaded.append(name)
        raise UserError("no voice")

    monkeypatch.setattr(serve.synth, "load", load)
    with pytest.raises(UserError, match="no voice"):
        voices.load("owner/voice")
    assert loaded == [f"{NAME}@{first}"]  # not what was uploaded since
    with pytest.raises(UserError, match="kind vocoder, not voice"):
        serve.Voices([NAME])
    repository.refs["main"] = first
    with pytest.raises(UserError, match="two revisions"):
        serve.Voices([f"{NAME}@{first}", NAME])


def test_models_lists_a_model_of_the_hub_with_its_commit(
    hub: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = hub.add("owner/voice", model(tmp_path)).refs["main"]
    assert cli.main(["models", "--json", NAME, "ru"]) == 0
    theirs, shipped = json.loads(capsys.readouterr().out)
    assert (theirs["name"], theirs["kind"]) == (f"{NAME}@{commit}", "voice")
    assert shipped["name"] == "ru"
    assert cli.main(["models", "nothing"]) == 1
    assert 'no shipped model and no directory is named "nothing"' in capsys.readouterr().err


def test_graphs_are_downloaded_where_the_index_lists_them(hub: Any, tmp_path: Path) -> None:
    files = model(tmp_path)
    folder = tmp_path / "graphs"
    folder.mkdir()
    del files["files.json"]
    for name, content in {**files, "onnx.json": b"{}", "decoder.onnx": b"graph"}.items():
        (folder / name).write_bytes(content)
    file_index.write_index(folder, [p.name for p in folder.iterdir()])
    listed = {p.name: p.read_bytes() for p in folder.iterdir()}
    hub.add("owner/voice", listed)
    assert {p.name for p in hf.download(NAME).iterdir()} == listed.keys()
    hub.add("owner/other", {**model(tmp_path), "decoder.onnx": b"graph"})
    with pytest.raises(UserError, match=r"decoder\.onnx is not in files.json"):
        hf.download("hf://owner/other")
    hub.add("owner/large", listed)
    hub.sizes = {"decoder.onnx": hf.MAX_TEXT_BYTES + 1}
    with pytest.raises(UserError, match=r"decoder\.onnx is 67 MB, at most"):
        hf.download("hf://owner/large")
