"""A hub on a loopback address: the part of the API of huggingface.co that downloads and commits need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pytest

TOKEN = "hf_owner"
Files = dict[str, bytes]


@dataclass
class Repository:
    """A repository: commits by id, branches and tags by name; only the owner's token reads a private one."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, branch: str = "main") -> str:
        content = "".join(f"{n}{hashlib.sha1(b).hexdigest()}" for n, b in sorted(files.items()))
        commit = hashlib.sha1(f"{content}{len(self.commits)}".encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)


class FakeHub:
    """The server; `sizes` overrides what it says about the size of a file, `requests` records each call."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.sizes: dict[str, int] = {}
        self.large: dict[str, bytes] = {}  # Git LFS: content by SHA-256
        self.status: int | None = None  # answered to every request
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name: str, files: Files, **options: Any) -> Repository:
        repository = self.repositories[name] = Repository(**options)
        repository.commit({".gitattributes": b"", **files})
        return repository

    def downloads(self) -> set[str]:
        """Names of the files whose content was sent."""
        paths = [r.removeprefix("GET ") for r in self.requests if r.startswith("GET ") and "/resolve/" in r]
        return {path.partition("/resolve/")[2].partition("/")[2] for path in paths}

    def answer(self, request: Any) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(f"{request.command} {path}")
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Transfer-Encoding") == "chunked":
            while size := int(request.rfile.readline(), 16):
                body += request.rfile.read(size)
                request.rfile.readline()
            request.rfile.readline()
        status, headers, content = self._route(request, path, body)
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def _route(self, request: Any, path: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.status is not None:
            return self.status, {}, {}
        if token not in ("", TOKEN):
            return 401, {"X-Error-Message": "Invalid credentials in Authorization header"}, {}
        if path == "/api/validate-yaml":
            return 200, {}, {"warnings": [], "errors": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body), token)
        if path.startswith("/lfs/"):
            self.large[path.removeprefix("/lfs/")] = body
            return 200, {}, {}
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**wish, "actions": {"upload": {"href": f"{self.url}/lfs/{wish['oid']}"}}}
                for wish in json.loads(body)["objects"]
            ]
            return 200, {}, {"transfer": "basic", "objects": objects}
        api = path.startswith("/api/models/")
        parts = path.removeprefix("/api/models").strip("/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        repository = self.repositories.get(name)
        if repository is None or (repository.private and token != TOKEN):
            return 401 if not token else 404, {"X-Error-Code": "RepoNotFound"}, {}
        if repository.gated and token != TOKEN:
            return 403, {"X-Error-Code": "GatedRepo"}, {}
        verb = rest[0] if rest else "revision"
        if verb == "branch":
            repository.refs[rest[1]] = repository.refs["main"]
            return 200, {}, {}
        files = 1 if verb == "resolve" else 0  # names of files follow the revision
        revision = "/".join(rest[1 : -1 if files else None]) or "main"
        commit = repository.resolve(revision)
        if commit is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, {}
        content = repository.commits[commit]
        if not api:
            return self._file(content, rest[-1], commit)
        if verb == "preupload":
            names = [f["path"] for f in json.loads(body)["files"]]
            modes = {n: "lfs" if n.endswith(".safetensors") else "regular" for n in names}
            rows = [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes.items()]
            return 200, {}, {"files": rows}
        if verb == "commit":
            return self._commit(name, revision, body, token)
        sizes = {n: self.sizes.get(n, len(b)) for n, b in content.items()}
        if verb == "tree":
            return (
                200,
                {},
                [{"type": "file", "path": n, "size": s, "oid": "0" * 40} for n, s in sizes.items()],
            )
        siblings = [{"rfilename": n, "size": s} for n, s in sizes.items()]
        return 200, {}, {"id": name, "sha": commit, "siblings": siblings, "private": repository.private}

    def _file(self, files: Files, name: str, commit: str) -> tuple[int, dict[str, str], Any]:
        if name not in files:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, {}
        etag = hashlib.sha1(files[name]).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": commit}, files[name]

    def _create(self, wish: dict[str, Any], token: str) -> tuple[int, dict[str, str], Any]:
        if token != TOKEN:
            return 401, {}, {}
        name = f"{wish['organization']}/{wish['name']}"
        if wish["organization"] != "owner":
            return 403, {}, {"error": "You don't have the rights"}
        self.add(name, {}, private=bool(wish.get("private")) or wish.get("visibility") == "private")
        return 200, {}, {"url": f"{self.url}/{name}"}

    def _commit(self, name: str, branch: str, body: bytes, token: str) -> tuple[int, dict[str, str], Any]:
        repository = self.repositories[name]
        if token != TOKEN:
            return 403, {}, {"error": "no permission to write"}
        lines = [json.loads(line) for line in body.splitlines() if line]
        before = repository.refs[branch]
        if lines[0]["value"].get("parentCommit") not in (None, before):
            return 412, {}, {"error": "parent commit"}
        files = dict(repository.commits[before])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            else:
                assert line["key"] == "file"
                files[value["path"]] = base64.b64decode(value["content"])
        commit = repository.commit(files, branch)
        return (
            200,
            {},
            {"success": True, "commitOid": commit, "commitUrl": f"{self.url}/{name}/commit/{commit}"},
        )


@pytest.fixture
def serving_hub() -> Iterator[FakeHub]:
    """A hub that other processes can use."""
    hub = FakeHub()
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def hub(serving_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A hub that this process uses, with an empty cache and without a token."""
    constants = huggingface_hub.constants
    cache = str(tmp_path / "cache")
    monkeypatch.setattr(constants, "ENDPOINT", serving_hub.url)
    template = serving_hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the fake hub speaks plain Git LFS
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    return serving_hub


@pytest.fixture
def sign_in(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
