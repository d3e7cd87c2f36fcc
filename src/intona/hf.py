"""Models on the Hugging Face Hub, named `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`.

A repository of strangers is not trusted: only weights as safetensors, ONNX graphs, JSON, Markdown and a
lexicon are downloaded, from its top folder, up to a size, and each file is verified against files.json.
Nothing that can contain code, such as a pickle, is downloaded or opened. A graph is arithmetic only:
onnxruntime has no operators but its own here, and refuses a graph that reads files of other folders.
Downloads stay in the cache that all programs of the hub share ($HF_HOME); a repeated call works without a
network, and `HF_HUB_OFFLINE=1` never connects.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import intona
from intona import file_index
from intona.errors import UserError
from intona.progress import bar_is_shown

log = logging.getLogger(__name__)
PREFIX = "hf://"
INSTALL = "pip install 'intona[hub]'"
SIGN_IN = "sign in with `hf auth login`, or set HF_TOKEN"
WEIGHTS = ".safetensors"
GRAPH = ".onnx"
PATTERNS = (f"*{WEIGHTS}", f"*{GRAPH}", "*.json", "*.md", "lexicon.txt")
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".gguf")
MAX_FILES = 100
MAX_WEIGHTS_BYTES, MAX_TEXT_BYTES = 4 << 30, 64 << 20  # graphs are limited like texts: they hold no weights
DEFAULT_REVISION = "main"

_PART = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_ADDRESS = re.compile(
    rf"hf:/{{1,2}}({_PART}/{_PART})(?:@([A-Za-z0-9][\w./-]*))?", re.ASCII
)  # Path: one slash
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,127}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubAddress:
    """A repository of the hub, and a branch, tag or commit of it; None is the default branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None


def is_address(name: str | os.PathLike[str]) -> bool:
    """Whether a name is meant as an address of the hub."""
    return os.fspath(name).startswith("hf:/")


def parse(text: str | os.PathLike[str]) -> HubAddress:
    """The parts of an address.

    Raises:
        UserError: not an address of a repository.
    """
    text = os.fspath(text)
    match = _ADDRESS.fullmatch(text) if len(text) <= 300 else None
    if match is None or len(match[1]) > 96 or any(bad in text[5:] for bad in ("..", "--", "//")):
        raise UserError(
            f'"{text[:100]}" is not an address of the Hugging Face Hub', hint="hf://OWNER/NAME[@REVISION]"
        )
    return HubAddress(match[1], match[2])


def download(name: str | os.PathLike[str]) -> Path:
    """The directory of a model of the hub, downloaded where it is not in the cache, and verified.

    Raises:
        UserError: not an address, no such repository or revision, no access, no connection, not a model that
            `intona publish` wrote, a file that is too large or damaged.
    """
    address = parse(name)
    require_client()
    with explained(address):
        directory = _from_cache(address) if address.pinned else None
        if directory is None:
            directory = _fetch(address)
    _verify(directory, address)
    if not address.pinned:
        log.info("%s: revision %s", address, directory.name)
    return directory


def pin(name: str | os.PathLike[str]) -> str:
    """The address of a model with the commit that it means now; the model is downloaded.

    Raises:
        UserError: as `download`.
    """
    return str(HubAddress(parse(name).repository, download(name).name))


def origin(directory: Path) -> str | None:
    """The pinned address of a model that lies in the cache of the hub; None for any other directory."""
    parts = directory.absolute().parts[-3:]
    if len(parts) < 3 or parts[1] != "snapshots" or not parts[0].startswith("models--"):
        return None
    return str(HubAddress(parts[0].removeprefix("models--").replace("--", "/"), parts[2]))


def require_client() -> None:
    """Raise a UserError if huggingface_hub is not installed."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UserError("models of the hub need huggingface_hub, which is not installed", hint=INSTALL)


def client() -> Any:
    """The client of the hub, an `HfApi`."""
    from huggingface_hub import HfApi

    return HfApi(library_name="intona", library_version=intona.__version__)


def _snapshot(address: HubAddress, *, local: bool) -> Path:
    """The directory of a revision in the cache; unless `local`, what is missing is downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": not bar_is_shown()})

    return Path(
        snapshot_download(
            address.repository,
            revision=address.revision or DEFAULT_REVISION,
            allow_patterns=list(PATTERNS),
            ignore_patterns=["*/*"],
            local_files_only=local,
            tqdm_class=Bar,
            library_name="intona",
            library_version=intona.__version__,
        )
    )


def _from_cache(address: HubAddress) -> Path | None:
    """The directory of a commit that was downloaded before; None if it is not there, or not whole."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        directory = _snapshot(address, local=True)
        names = file_index.read_index(directory)
    except (LocalEntryNotFoundError, UserError):
        return None
    return directory if all((directory / n).is_file() for n in names) else None


def _fetch(address: HubAddress) -> Path:
    try:
        info = client().model_info(address.repository, revision=address.revision, files_metadata=True)
    except Exception as e:
        if not _unreachable(e):
            raise
        directory = _snapshot(address, local=True)
        log.info("%s: the hub is not reachable, the copy in the cache is used", address)
        return directory
    check_files({s.rfilename: s.size for s in info.siblings or ()}, address)
    directory = _snapshot(address, local=False)
    if directory.name != info.sha:  # its sizes were not checked
        raise UserError("was changed during the download", where=address, hint="try again")
    return directory


def check_files(sizes: Mapping[str, int | None], address: HubAddress) -> None:
    """Refuse a repository by the names and sizes of its files, before anything is downloaded.

    Args:
        sizes: file name -> bytes, None if unknown.

    Raises:
        UserError: no model of intona, no safe weights, unusual names, too many or too large files.
    """
    top = [name for name in sizes if "/" not in name]
    names = [name for name in sizes if is_allowed(name)]
    if not any(name.endswith(WEIGHTS) for name in names):
        others = [name for name in top if Path(name).suffix.lower() in OTHER_WEIGHTS]
        if others:
            raise UserError(
                f"has no {WEIGHTS} file; {others[0][:80]} is not read, since it may contain code",
                where=address,
            )
        raise UserError(f"holds no model: it has no {WEIGHTS} file", where=address)
    if file_index.INDEX not in names:
        raise UserError(
            f"is not a model of intona: it has no {file_index.INDEX}",
            where=address,
            hint="`intona publish … --push hf://OWNER/NAME` uploads one",
        )
    if len(names) > MAX_FILES:
        raise UserError(f"has {len(names)} files, more than {MAX_FILES}", where=address)
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise UserError(f"has a file with an unusual name, {name[:80]!r}", where=address)
        limit = MAX_WEIGHTS_BYTES if name.endswith(WEIGHTS) else MAX_TEXT_BYTES
        size = sizes[name]
        if size is None or size > limit:
            known = "of unknown size" if size is None else f"{size / 1e6:.0f} MB"
            raise UserError(f"{name} is {known}, at most {limit / 1e6:.0f} MB are read", where=address)


def is_allowed(name: str) -> bool:
    """Whether a file of a repository is of a kind that is downloaded; its name may still be refused."""
    return "/" not in name and (name == PATTERNS[-1] or name.endswith((WEIGHTS, GRAPH, ".json", ".md")))


def _verify(directory: Path, address: HubAddress) -> None:
    """Check the files of a snapshot; one that decides how a model is read may not be outside files.json."""
    hint = f"delete {directory.parents[1]} and try again"
    index = file_index.read_index(directory)
    for name in index:
        if not (is_allowed(name) and _PLAIN_NAME.fullmatch(name)):
            raise UserError(
                f"{file_index.INDEX} lists {name[:80]!r}, which is not downloaded",
                where=address,
                hint="only safetensors, ONNX, JSON and Markdown in the top folder are",
            )
    for path in directory.iterdir():
        read = path.name.endswith((WEIGHTS, GRAPH, ".json")) and path.name != file_index.INDEX
        if read and path.name not in index:
            raise UserError(f"{path.name} is not in {file_index.INDEX}", where=address)
    file_index.verify(directory, state=False, hint=hint)


@contextlib.contextmanager
def explained(address: HubAddress) -> Iterator[None]:
    """Errors of the hub's client as a UserError that names the address."""
    try:
        yield
    except UserError:
        raise
    except Exception as e:
        error = _explain(e, address)
        if error is None:
            raise
        raise error from None


def _explain(error: Exception, address: HubAddress) -> UserError | None:
    from huggingface_hub import errors, is_offline_mode

    def because(what: str, hint: str | None = None) -> UserError:
        return UserError(what, where=address, hint=hint)

    match error:
        case errors.GatedRepoError():
            return because("is gated: its owner decides who may read it", f"ask on its page, then {SIGN_IN}")
        case errors.RepositoryNotFoundError():
            return because("no such repository, or a private one", f"for a private one {SIGN_IN}")
        case errors.RevisionNotFoundError():
            return because(f'has no revision "{address.revision}"', "name a branch, a tag or a commit")
        case errors.OfflineModeIsEnabled() | errors.LocalEntryNotFoundError() if is_offline_mode():
            return because("is not in the cache, and HF_HUB_OFFLINE is set", "unset it to download once")
        case errors.LocalEntryNotFoundError():
            return because("is not in the cache, and the hub cannot be reached", "check the network")
        case errors.HfHubHTTPError():
            return because(*_answer(error.response.status_code))
        case OSError() if error.errno is not None:
            return because(
                f"cannot be stored ({error.strerror})", "see the space and permissions of $HF_HOME"
            )
    if _unreachable(error):
        return because(f"the hub cannot be reached ({type(error).__name__})", "check the network")
    if isinstance(error, ValueError | KeyError | TypeError | OSError):
        return because(
            f"the hub sent an answer that makes no sense ({type(error).__name__})", "see HF_ENDPOINT"
        )
    return None


def _answer(status: int) -> tuple[str, str | None]:
    """What an HTTP status of the hub means, and a hint."""
    match status:
        case 401:
            return "the access token is missing or not valid", SIGN_IN
        case 403:
            return "the access token does not allow this", "use a token with that permission"
        case 409 | 412:
            return "was changed by somebody else at the same time", "try again"
        case 429:
            return "the hub refuses further requests for now", "try again in some minutes, or sign in"
    return f"the hub answered with status {status}", "try again later" if status >= 500 else None


def _unreachable(error: Exception) -> bool:
    """Whether the hub gave no answer: no connection, offline mode, a defect of the server."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    # huggingface_hub 1 uses httpx, 2 uses httpx2.
    return isinstance(error, OfflineModeIsEnabled | ConnectionError | TimeoutError) or type(
        error
    ).__module__.partition(".")[0].startswith("httpx")
