"""Upload of a published model to the Hugging Face Hub, with a README made of its card."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import intona
from intona import file_index, hf
from intona.config import read_json
from intona.errors import UserError
from intona.hf import HubAddress
from intona.progress import bar_is_shown

CARD, README = "card.json", "README.md"
BY_THE_HUB = (".gitattributes", README)  # files of a repository that are there without a model
# Identifiers of the hub for licences; any other text is "other".
LICENCES = frozenset(
    {"apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0"}
    | {
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nd-4.0",
        "gpl-3.0",
        "lgpl-3.0",
        "agpl-3.0",
    }
    | {"mpl-2.0", "unlicense", "openrail"}
)
PIPELINES = {"voice": "text-to-speech"}
TAGS = {
    "voice": ("text-to-speech", "speech-synthesis"),
    "vocoder": ("vocoder",),
    "encoder": ("text-encoder",),
}
ROWS = (
    ("kind", "Kind"),
    ("language", "Language"),
    ("system", "System"),
    ("parameters", "Parameters"),
    ("trained_on", "Trained on"),
    ("licence", "Licence"),
)
EXAMPLES = {
    "voice": """intona say --model {address} "…" -o out.wav
```

```python
import intona

intona.load("{address}").say("…").write("out.wav")""",
    "vocoder": 'intona say --vocoder {address} "…" -o out.wav',
    "encoder": "intona train prosody.gradtts --encoder {address} …",
}


class Upload(NamedTuple):
    """An upload: the page of the repository, the address pinned to its commit, whether it was created."""

    url: str
    address: str
    created: bool


def push(folder: Path, address: HubAddress, *, private: bool = False, replace: bool = False) -> Upload:
    """Upload a published model as one commit. The repository and the branch are created where missing.

    Args:
        folder: a model that `checkpoint.publish` wrote.
        address: the repository, and the branch; `main` if it names none.
        private: of a new repository; without it the hub's default holds, which is public for most accounts.
        replace: replace a model of another kind, stage or language, or files that are no model of intona.
            Earlier commits keep them.

    Raises:
        UserError: a damaged folder, something else in the repository, no permission, no connection.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    hf.require_client()
    if address.pinned:
        raise UserError("a commit cannot be changed", where=address, hint="name a branch, or no revision")
    file_index.verify(folder, state=False, hint="publish it again")
    names = [file_index.INDEX, *file_index.read_index(folder)]
    if others := [n for n in names if not hf.is_allowed(n)]:
        raise UserError(f"{others[0]} is of a kind that is not downloaded from the hub", where=folder)
    hf.check_files({n: (folder / n).stat().st_size for n in names}, address)
    if CARD not in names:
        raise UserError(f"has no {CARD}", where=folder, hint="`intona publish` writes one")
    card = read_json(folder / CARD)
    api = hf.client()
    with hf.explained(address), _bars():
        remote, has_branch = _remote(api, address)
        if created := remote is None:
            api.create_repo(address.repository, private=private or None)
        elif not replace:
            _require_same(api, address, remote, card)
        if not has_branch:
            api.create_branch(address.repository, branch=address.revision)
            remote, _ = _remote(api, address)
        old = [] if remote is None else [s.rfilename for s in remote.siblings or ()]
        stale = [n for n in old if hf.is_allowed(n) and not n.endswith(".md") and n not in names]
        commit = api.create_commit(
            address.repository,
            [
                *(CommitOperationAdd(path_in_repo=n, path_or_fileobj=folder / n) for n in names),
                CommitOperationAdd(path_in_repo=README, path_or_fileobj=readme(card, address).encode()),
                *(CommitOperationDelete(path_in_repo=n) for n in stale),
            ],
            commit_message=f"intona {intona.__version__}: {_named(_identity(card))}",
            revision=address.revision,
            parent_commit=None if remote is None else remote.sha,
        )
    url = f"{api.endpoint}/{address.repository}"
    url += f"/tree/{address.revision}" if address.revision else ""
    return Upload(url, str(HubAddress(address.repository, commit.oid)), created)


@contextlib.contextmanager
def _bars() -> Iterator[None]:
    """The client's progress bars appear only where ours do."""
    from huggingface_hub import utils

    hidden = not (bar_is_shown() or utils.are_progress_bars_disabled())
    if hidden:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        if hidden:
            utils.enable_progress_bars()


def readme(card: dict[str, Any], address: HubAddress) -> str:
    """The README of a repository: metadata for the hub as YAML, a summary, an example, and the card."""
    from huggingface_hub import ModelCardData

    kind, licence = str(card.get("kind", "")), _line(card.get("licence", ""))
    languages = [
        w for w in re.split(r"[,\s]+", str(card.get("language", ""))) if re.fullmatch(r"[a-z]{2,3}", w)
    ]
    known = licence.lower() in LICENCES
    metadata = ModelCardData(
        library_name="intona",
        pipeline_tag=PIPELINES.get(kind),
        tags=["intona", *TAGS.get(kind, ())],
        language=[w for w in languages if w != "any"] or None,
        license=licence.lower() if known else "other" if licence else None,
    )
    rows = [(title, _line(card[key])) for key, title in ROWS if card.get(key)]
    figures = card.get("figures")
    rows += [(str(k), _line(v)) for k, v in figures.items()] if isinstance(figures, dict) else []
    table = "\n".join(f"| {_cell(a)} | {_cell(b)} |" for a, b in rows)
    example = EXAMPLES.get(kind, "").format(address=HubAddress(address.repository))
    parts = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {address.repository.partition('/')[2]}",
        _line(card.get("summary", "")),
        f"```sh\npip install 'intona[hub]'\n{example}\n```",
        f"| | |\n|---|---|\n{table}",
        f"Written by intona {intona.__version__}. `{file_index.INDEX}` holds the checksum of every file.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _remote(api: Any, address: HubAddress) -> tuple[Any, bool]:
    """What the hub has of a repository, None if there is none, and whether the address's branch exists.

    Of a repository without that branch it is `main`.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return api.model_info(address.repository, revision=address.revision, files_metadata=True), True
    except RevisionNotFoundError:
        return api.model_info(address.repository, files_metadata=True), False
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None, address.revision in (None, hf.DEFAULT_REVISION)


def _require_same(api: Any, address: HubAddress, remote: Any, card: dict[str, Any]) -> None:
    """Refuse to put a model over another one."""
    sizes = {s.rfilename: s.size or 0 for s in remote.siblings or ()}
    if not sizes.keys() - set(BY_THE_HUB):
        return
    hint = "name another repository; --replace puts a new commit on top, earlier ones stay"
    if CARD not in sizes or file_index.INDEX not in sizes or sizes[CARD] > hf.MAX_TEXT_BYTES:
        raise UserError("holds something else than a model of intona", where=address, hint=hint)
    path = api.hf_hub_download(address.repository, CARD, revision=remote.sha)
    theirs = read_json(Path(path))
    before, now = _identity(theirs if isinstance(theirs, dict) else {}), _identity(card)
    if before != now:
        raise UserError(
            f"holds another model ({_named(before)}, not {_named(now)})", where=address, hint=hint
        )


def _identity(card: dict[str, Any]) -> tuple[str, ...]:
    """Kind, stage and language: what stays the same when a model is improved."""
    return _line(card.get("kind")), _line(card.get("system")).partition(" ")[0], _line(card.get("language"))


def _named(identity: tuple[str, ...]) -> str:
    return ", ".join(filter(None, identity))[:100] or "without a description"


def _line(value: Any) -> str:
    """A value of a card on one line."""
    if isinstance(value, dict):
        value = "; ".join(f"{k} {_line(v)}" for k, v in value.items())
    elif isinstance(value, list):
        value = ", ".join(map(_line, value))
    return " ".join(str("" if value is None else value).split())


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
