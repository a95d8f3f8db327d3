"""Downloads a pinned repository to the local cache, checks every byte of it, and finds it there again offline."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.utils._paths import filter_repo_objects
from huggingface_hub.utils.tqdm import tqdm

from hubtune.errors import HubError, RecordError
from hubtune.files import file_errors, require_writable
from hubtune.hub.integrity import KnownFile, Snapshot
from hubtune.hub.repo_files import list_files
from hubtune.hub.translate import hub_errors
from hubtune.records.base import Pin, RepoType

# All that loading a model needs, and no code (see `fetch`) and no pickle. Of a dataset, everything.
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
_CACHE = "Have HF_HOME, or HF_HUB_CACHE, name a folder that you can write, on a disk with room."

# Bytes that were damaged on their way may come right the second time.
_ATTEMPTS = 2

# Of a dataset whose rows are streamed: the card, and the legal files of the model's patterns.
_CARD_PATTERNS = [
    "README.md",
    *("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*", "[Cc][Oo][Pp][Yy][Ii][Nn][Gg]*", "[Nn][Oo][Tt][Ii][Cc][Ee]*"),
    "*[Uu][Ss][Ee][_-][Pp][Oo][Ll][Ii][Cc][Yy]*",
]
_TOKENIZER_PATTERNS = ["*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]


def download_size(repo_type: RepoType, files: Mapping[str, int], *, streamed: bool = False, code: bool = False) -> int:
    """Returns the maximum number of bytes that `fetch` downloads, given each file's size."""
    patterns = _wanted(repo_type, streamed=streamed, code=code)
    return sum(files[path] for path in filter_repo_objects(files, allow_patterns=patterns))


def fetch(
    pin: Pin, on_bytes: Callable[[int], None] = lambda _: None, *, streamed: bool = False, code: bool = False
) -> Path:
    """Downloads the files of `pin` by its commit, and checks their digests.

    Args:
        pin: What to fetch.
        on_bytes: Called with the number of bytes that have come since the last call, from any thread.
        streamed: Whether it is a dataset whose rows are streamed: then its card and legal files come alone, into a
            folder of their own, as a snapshot of a few files would pass for the whole one.
        code: Whether the Python files of a model come too.

    Returns:
        The snapshot's folder in the Hub client's cache.

    Raises:
        HubError: The files are not available, or what arrived is not what the repository says that it holds.
        DiskFullError: There is no room for them.
        FileError: The cache cannot be written, or a symbolic link stands for one of the repository's folders in it.
    """
    patterns = _wanted(pin.type, streamed=streamed, code=code)
    cache = _cards_folder() if streamed else cache_folder()
    listed = list_files(pin.repo, pin.commit, pin.type)
    wanted = {path: listed[path] for path in filter_repo_objects(listed, allow_patterns=patterns)}
    found = Snapshot(pin, cache)
    require_cache()
    with file_errors(cache), hub_errors(pin.repo, pin.commit):
        found.learn(wanted)
        # What the cache held before goes first, so that the client fetches it again.
        _remove_damaged(found, wanted)
        for _ in range(_ATTEMPTS):
            snapshot_download(
                pin.repo,
                repo_type=pin.type,
                revision=pin.commit,
                allow_patterns=patterns,
                cache_dir=cache,
                tqdm_class=_bar_that_tells(on_bytes),
            )
            damaged = _remove_damaged(found, wanted)
            if not damaged:
                break
        else:
            raise _damaged(pin, damaged)
        # Not there if no file of a dataset is fetched.
        found.folder.mkdir(parents=True, exist_ok=True)
    return found.folder


def fetch_tokenizer(pin: Pin, folder: Path) -> Path:
    """Downloads the tokenizer and config files of a pinned model, without its weights.

    Not into the cache: a snapshot without weights would pass for the whole one.

    Returns:
        `folder`.

    Raises:
        HubError: The files are not available, or what arrived is not what the repository says that it holds.
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
    for path, stored in list_files(pin.repo, pin.commit, pin.type).items():
        file = folder / path
        known = KnownFile(size=stored.size, blob_id=stored.blob_id, sha256=stored.sha256)
        if file.is_file() and not known.is_right(file):
            with file_errors(file):
                file.unlink()
            raise _damaged(pin, [path])
    return folder


def cached(pin: Pin, *, streamed: bool = False) -> Path:
    """Returns the folder of a snapshot that `fetch` made before, without any request.

    Its files are compared with the digests of the commit, unless they are as they were when that was done last.

    Args:
        pin: What was fetched.
        streamed: Whether a folder with the card and the legal files alone will do.

    Raises:
        RecordError: It is not in the cache any longer, or was damaged there.
        FileError: A symbolic link stands for one of the repository's folders in the cache.
    """
    for cache in (cache_folder(), *([_cards_folder()] if streamed else [])):
        found = Snapshot(pin, cache)
        if not found.folder.is_dir() or found.missing():
            continue
        damaged = found.damaged()
        for path in damaged:
            found.remove(path)
        if damaged:
            raise RecordError(
                f"{', '.join(damaged)} of {pin.repo} at {pin.commit} was damaged in the local cache, and was removed.",
                hint="Fetch it again: run `hubtune pin` with the config and the hubtune.lock of the run.",
            )
        return found.folder
    raise RecordError(
        f"The pinned files of {pin.repo} at {pin.commit} are no longer in the local cache.",
        hint="Fetch them again: run `hubtune pin` with the config and the hubtune.lock of the run.",
    )


def _wanted(repo_type: RepoType, *, streamed: bool, code: bool) -> list[str] | None:
    patterns = _CARD_PATTERNS if streamed else _PATTERNS[repo_type]
    return [*patterns, _CODE] if code and patterns is not None else patterns


def _cards_folder() -> Path:
    return cache_folder() / "hubtune-cards"


def _bar_that_tells(on_bytes: Callable[[int], None]) -> type[tqdm]:
    class Bar(tqdm):
        """Draws nothing, but passes on the client's count of downloaded bytes."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]  # tqdm has no types

        def update(self, n: float | None = 1) -> None:
            if self._counts_bytes and n:
                on_bytes(int(n))

    return Bar


def _remove_damaged(found: Snapshot, wanted: Iterable[str]) -> list[str]:
    damaged = found.damaged(wanted)
    for path in damaged:
        found.remove(path)
    return damaged


def _damaged(pin: Pin, paths: Sequence[str]) -> HubError:
    return HubError(
        f"{', '.join(paths)} of {pin.repo} at {pin.commit} was damaged on its way: its digest is not the Hub's.",
        hint="It was not kept. Run the command again; if it happens again, the Hub or something on the way changes "
        "the files.",
        passing=True,
    )


def require_cache() -> None:
    """Checks that snapshots can be downloaded to the cache.

    Raises:
        FileError: It cannot be written.
    """
    require_writable(cache_folder(), hint=_CACHE)


def cache_folder() -> Path:
    """Returns the folder that snapshots are fetched into (HF_HUB_CACHE, HF_HOME)."""
    return Path(constants.HF_HUB_CACHE)


def download_fresh(repo: str, commit: str, path: str, folder: Path) -> Path:
    """Downloads one file of a model repository to `folder`, and returns its path.

    Raises:
        HubError: It is not available, arrived in part, or has a name that would lead out of the folder.
        DiskFullError: There is no room for it.
    """
    parts = PurePosixPath(path).parts
    # The client keeps notes of its own in .cache.
    if path.startswith("/") or "\\" in path or not path.isprintable() or {"..", ".cache"}.intersection(parts):
        raise HubError(
            f"{repo} holds a file called {path!r}, which would be written to another folder, so it is not downloaded.",
            hint="Choose another repository or revision.",
        )
    with file_errors(folder), hub_errors(repo, commit):
        try:
            return Path(hf_hub_download(repo, path, revision=commit, local_dir=folder, force_download=True))
        except OSError as error:
            # What the client raises if fewer bytes came than were announced has no class of its own.
            if error.errno is not None or "Consistency check failed" not in str(error):
                raise
            raise HubError(
                f"{path} of {repo} arrived with another size than the Hub announced.", hint="Try again."
            ) from error
