"""Fetches a pinned repository into the local cache, checks every byte of it, and finds it there again offline."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._paths import filter_repo_objects
from huggingface_hub.utils.tqdm import tqdm

from hubtune.errors import HubError, RecordError
from hubtune.files import file_errors
from hubtune.hub.translate import hub_errors
from hubtune.records.base import sha256_file
from hubtune.records.pins import Pin, RepoType

# All that loading a model needs, and no code (see `fetch`) and no pickle. Of a data set, everything.
_PATTERNS: dict[RepoType, list[str] | None] = {
    "model": [
        "*.safetensors",
        "*.safetensors.index.json",
        "*.json",
        "*.jinja",
        "*.model",
        "merges.txt",
        "vocab.txt",
        "README.md",
        # The names of `hubtune.hub.license_facts`, in whatever letters.
        *("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*", "[Cc][Oo][Pp][Yy][Ii][Nn][Gg]*", "[Nn][Oo][Tt][Ii][Cc][Ee]*"),
        "*[Uu][Ss][Ee][_-][Pp][Oo][Ll][Ii][Cc][Yy]*",
    ],
    "dataset": None,
}

_CODE = "*.py"

# Of a data set whose rows are streamed: the card, and the legal files of the model's patterns.
_CARD_PATTERNS = [
    "README.md",
    *("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*", "[Cc][Oo][Pp][Yy][Ii][Nn][Gg]*", "[Nn][Oo][Tt][Ii][Cc][Ee]*"),
    "*[Uu][Ss][Ee][_-][Pp][Oo][Ll][Ii][Cc][Yy]*",
]
_TOKENIZER_PATTERNS = ["*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]


def download_size(repo_type: RepoType, files: Mapping[str, int], *, streamed: bool = False, code: bool = False) -> int:
    """Returns how many bytes `fetch` brings at most, given each file's size; less where some are in the cache."""
    patterns = _wanted(repo_type, streamed=streamed, code=code)
    return sum(files[path] for path in filter_repo_objects(files, allow_patterns=patterns))


def fetch(
    pin: Pin, on_bytes: Callable[[int], None] = lambda _: None, *, streamed: bool = False, code: bool = False
) -> Path:
    """Downloads the files of `pin` by its commit, and checks their digests.

    Args:
        pin: What to fetch.
        on_bytes: Called with the number of bytes that have come since the last call, from any thread.
        streamed: Whether it is a data set whose rows are streamed: then its card and legal files come alone, into a
            folder of their own, as a snapshot of a few files would pass for the whole one.
        code: Whether the Python files of a model come too.

    Returns:
        The snapshot's folder in the Hub client's cache.

    Raises:
        HubError: The files cannot be had, or what arrived is not what the repository says that it holds.
        DiskFullError: There is no room for them.
    """
    with file_errors(Path(constants.HF_HUB_CACHE)), hub_errors(pin.repo, pin.commit):
        folder = Path(
            snapshot_download(
                pin.repo,
                repo_type=pin.type,
                revision=pin.commit,
                allow_patterns=_wanted(pin.type, streamed=streamed, code=code),
                cache_dir=_cards_folder() if streamed else None,
                tqdm_class=_bar_that_tells(on_bytes),
            )
        )
    # Not there where no file of a data set is fetched.
    folder.mkdir(parents=True, exist_ok=True)
    _check_digests(pin, folder)
    return folder


def fetch_tokenizer(pin: Pin, folder: Path) -> Path:
    """Downloads what a pinned model's tokenizer and config are loaded from, and none of its weights.

    Not into the cache: a snapshot without weights would pass for the whole one.

    Returns:
        `folder`.

    Raises:
        HubError: The files cannot be had, or what arrived is not what the repository says that it holds.
        DiskFullError: There is no room for them.
    """
    with file_errors(folder), hub_errors(pin.repo, pin.commit):
        snapshot_download(
            pin.repo,
            repo_type=pin.type,
            revision=pin.commit,
            allow_patterns=_TOKENIZER_PATTERNS,
            local_dir=folder,
            tqdm_class=_bar_that_tells(lambda _: None),
        )
    _check_digests(pin, folder)
    return folder


def cached(pin: Pin, *, streamed: bool = False) -> Path:
    """Returns the folder of a snapshot that `fetch` made before, without any request.

    Args:
        pin: What was fetched.
        streamed: Whether a folder with the card and the legal files alone will do.

    Raises:
        RecordError: It is not in the cache any more.
    """
    for patterns, folder in ((_PATTERNS[pin.type], None), *([(_CARD_PATTERNS, _cards_folder())] if streamed else [])):
        with contextlib.suppress(LocalEntryNotFoundError):
            return Path(
                snapshot_download(
                    pin.repo,
                    repo_type=pin.type,
                    revision=pin.commit,
                    local_files_only=True,
                    allow_patterns=patterns,
                    cache_dir=folder,
                )
            )
    raise RecordError(
        f"The pinned files of {pin.repo} at {pin.commit} are not in the local cache any more.",
        hint="Fetch them again: hubtune pin",
    )


def _wanted(repo_type: RepoType, *, streamed: bool, code: bool) -> list[str] | None:
    patterns = _CARD_PATTERNS if streamed else _PATTERNS[repo_type]
    return [*patterns, _CODE] if code and patterns is not None else patterns


def _cards_folder() -> Path:
    return cache_folder() / "hubtune-cards"


def _bar_that_tells(on_bytes: Callable[[int], None]) -> type[tqdm]:
    class Bar(tqdm):
        """Draws nothing: the client's own count of arrived bytes is passed on."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if self._counts_bytes and n:
                on_bytes(int(n))

    return Bar


def _check_digests(pin: Pin, folder: Path) -> None:
    # The client compares a download's size alone, so wrong bytes of the right length would pass.
    with hub_errors(pin.repo, pin.commit):
        entries = list(HfApi().list_repo_tree(pin.repo, recursive=True, repo_type=pin.type, revision=pin.commit))
    for entry in entries:
        path = folder / entry.path
        if not isinstance(entry, RepoFile) or not path.is_file():
            continue
        right = _git_blob_id(path) == entry.blob_id if entry.lfs is None else sha256_file(path) == entry.lfs.sha256
        if not right:
            raise HubError(
                f"{entry.path} of {pin.repo} at {pin.commit} was damaged on its way: its digest is not the Hub's.",
                hint=f"Delete {path.resolve()} and run the command again.",
            )


def _git_blob_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def cache_folder() -> Path:
    """Returns the folder that snapshots are fetched into (HF_HUB_CACHE, HF_HOME)."""
    return Path(constants.HF_HUB_CACHE)
