"""The folder of a Hub: whether it is one, who is using it, and what a server that was killed left in it.

The rule: a folder with the mark `hub.json` is a Hub's. One without becomes a Hub's if it is new, empty, or holds
nothing but what hubtune itself puts beside a Hub (a config, its lock, runs). Everything else is refused, because a Hub
clears its `tmp` folder at each start, and nobody's own files may be in its way. For the same reason nothing in a Hub
may be a link, whose target lies elsewhere, or anything but a file or a folder. The folder itself may be a link.
"""

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hubtune.documents import UnreadableError, load_json
from hubtune.errors import HubError
from hubtune.localhub.disk import DRAFT_PREFIX, sync_folder, write_durably
from hubtune.localhub.git_objects import restore_index

_MARK = "hub.json"
_LOCK = "lock"
_BESIDE = frozenset({"hubtune.yaml", "hubtune.lock", "runs", _LOCK})
# What a Hub's folder held before there was a mark.
_UNMARKED = frozenset({"repos", "objects", "tmp", _LOCK, "requests.jsonl"})
_FOLDERS = ("repos", "objects", "tmp")
# What is written to where it stands, and so would be under each of its names.
_WRITTEN = (_LOCK, "requests.jsonl")
_LONGEST_LOCK = 4096
# By these a git repository reads the objects and refs of another.
_BORROWING = ("commondir", "objects/info/alternates", "objects/info/http-alternates")


class _Mark(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hubtune embedded Hub"] = "hubtune embedded Hub"
    layout: Literal[1] = 1


class HubFolder:
    """A Hub's folder, taken for the use of this process alone.

    Attributes:
        root: The folder.
        repos: Its git repositories.
        objects: Its large files.
        scratch: What is being made; of no use after its maker ended.
        requests: The request log.
    """

    def __init__(self, root: Path, lock: IO[str]) -> None:
        self.root = root
        self.repos = root / "repos"
        self.objects = root / "objects"
        self.scratch = root / "tmp"
        self.requests = root / "requests.jsonl"
        self._lock = lock

    def announce(self, url: str) -> None:
        """Leaves word of where the Hub is served, for whoever tries to take the folder meanwhile."""
        self._lock.truncate(0)
        json.dump({"pid": os.getpid(), "url": url}, self._lock)
        self._lock.flush()


@contextmanager
def take_folder(root: Path, *, make: bool) -> Iterator[HubFolder]:
    """Takes a Hub's folder while the context lasts.

    Args:
        root: The folder.
        make: Whether to make it a Hub's if the rule of this module allows.

    Raises:
        HubError: If it cannot be used, is not a Hub's, or is in use.
    """
    with ExitStack() as stack:
        try:
            if make:
                missing = [path for path in (root, *root.parents) if not path.exists()]
                root.mkdir(parents=True, exist_ok=True)
                for path in missing:
                    sync_folder(path.parent)
            _refuse_links(root / name for name in (_MARK, *_WRITTEN, *_FOLDERS))
            marked = _is_marked(root, make=make)
            # Not with "w": what the server that has the folder wrote there must stay.
            lock = stack.enter_context(os.fdopen(_open_no_link(root / _LOCK), "a+"))
            _lock(lock, root)
            for name in _FOLDERS:
                _refuse_links(_everything_in(root / name))
            _refuse_borrowed_objects(root / "repos")
            # What an earlier server wrote there is no longer so.
            lock.truncate(0)
            if make and not marked:
                for draft in filter(_is_draft_of_mark, list(root.iterdir())):
                    draft.unlink()
                write_durably(root / _MARK, _mark_text())
        except OSError as error:
            raise HubError(f"Cannot use the folder {root}: {error.strerror}.", hint="Choose another folder.") from error
        yield HubFolder(root, lock)


def leftovers(folder: HubFolder) -> Iterator[Path]:
    """Yields what a server that was killed did not finish: nothing that it had promised anybody."""
    if folder.scratch.is_dir():
        yield from sorted(folder.scratch.iterdir())
    yield from folder.repos.glob(f"{DRAFT_PREFIX}*")
    for repo in repo_folders(folder.repos):
        yield from repo.glob(f"{DRAFT_PREFIX}*")
        yield from repo.glob(f"*/{DRAFT_PREFIX}*")
        yield from repo.glob("*.lock")
        yield from (repo / "refs").rglob("*.lock")
        yield from (repo / "objects").glob("*/*.lock")
        # Packs in the making; finished ones are called pack-*, and have an index in the end.
        yield from (repo / "objects/pack").glob("tmp*")
        for pack in (repo / "objects/pack").glob("pack-*.pack"):
            if not pack.with_suffix(".idx").exists():
                yield pack


def clear_leftovers(folder: HubFolder) -> None:
    """Removes them; a lock that its owner cannot release would keep a branch from ever moving again.

    A pack without an index gets one: should the index have been lost in another way, the pack may hold what is needed.
    """
    for path in list(leftovers(folder)):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.match("pack-*.pack"):
            restore_index(path)
        else:
            path.unlink()
    for repo in repo_folders(folder.repos):
        _remove_empty(repo / "refs", keep=("heads", "tags"))


def repo_folders(repos: Path) -> Iterator[Path]:
    """Yields the folder of every repository, by path."""
    yield from sorted([*repos.glob("*/*.git"), *repos.glob("*/*/*.git")])


def _is_marked(root: Path, *, make: bool) -> bool:
    mark = root / _MARK
    if mark.is_file():
        try:
            _Mark.model_validate_json(mark.read_bytes())
        except ValidationError as error:
            raise HubError(
                f"The folder {root} is not an embedded Hub's that this version of hubtune can read: its {_MARK} says"
                " otherwise.",
                hint="Use the version of hubtune that made it, or another folder.",
            ) from error
        return True
    names = {path.name for path in root.iterdir() if not _is_draft_of_mark(path)}
    if _LOCK in names and not _is_lock(root / _LOCK):
        raise HubError(
            f"The folder {root} is not an embedded Hub's: it has no {_MARK}, and its file {_LOCK} is not one of "
            "hubtune's.",
            hint="Choose a new or an empty folder.",
        )
    unmarked = names >= _UNMARKED
    if not unmarked and not (make and names <= _BESIDE):
        raise HubError(
            f"The folder {root} is not an embedded Hub's: it has no {_MARK}"
            + (f", and holds other files, such as {sorted(names - _BESIDE)[0]}." if names - _BESIDE else "."),
            hint="Choose a new or an empty folder." if make else "`hubtune hub serve DIR` makes a Hub in a new folder.",
        )
    return False


def _refuse_links(paths: Iterable[Path]) -> None:
    """Refuses what a Hub never makes, and what would lead it out of its folder.

    Raises:
        HubError: If one of the paths is there and is a link, or is neither a file nor a folder.
    """
    for path in paths:
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            problem = "is a symbolic link, and what it leads to would be changed or deleted"
        elif path.name in _WRITTEN and found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
            problem = "is a file with a second name elsewhere, which would be changed under both"
        elif not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            problem = "is neither a file nor a folder"
        else:
            continue
        raise HubError(
            f"{path} {problem}. A Hub's folder holds files and folders of its own alone.",
            hint="Put a copy in its place or remove it. To keep the whole Hub elsewhere, name that folder itself.",
        )


def _refuse_borrowed_objects(repos: Path) -> None:
    """Refuses repositories that have git read the objects or refs of another repository of the disk.

    Raises:
        HubError: A repository names another folder (gitrepository-layout(5)).
    """
    for repo in repo_folders(repos):
        for name in _BORROWING:
            if (repo / name).exists():
                raise HubError(
                    f"{repo / name} has git read another repository, whose private files would be served.",
                    hint="Put a whole copy of the repository in its place, one that borrows no objects.",
                )


def _everything_in(folder: Path) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            # Only what is not an ordinary file by the folder's own word is looked at again.
            elif not entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _open_no_link(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _is_lock(path: Path) -> bool:
    content = path.read_bytes()[: _LONGEST_LOCK + 1] if path.is_file() else b"?"
    try:
        return not content or (isinstance(load_json(content), dict) and b'"pid"' in content)
    except UnreadableError:
        return False


def _mark_text() -> bytes:
    return (_Mark().model_dump_json(indent=2) + "\n").encode()


def _is_draft_of_mark(path: Path) -> bool:
    # Left by a first start that was killed; by its content, for it may be anybody's file by its name.
    text = _mark_text()
    if not path.name.startswith(DRAFT_PREFIX) or not path.is_file() or path.stat().st_size > len(text):
        return False
    return text.startswith(path.read_bytes())


def _lock(lock: IO[str], root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        try:
            server = load_json(lock.read(_LONGEST_LOCK))
        except UnreadableError:
            server = None
        by = ""
        if isinstance(server, dict) and {"url", "pid"} <= server.keys():
            by = f" at {server['url']} by process {server['pid']}"
        raise HubError(
            f"The folder {root} is already being served{by}.",
            hint="Use the Hub that is running, or stop it first.",
        ) from error


def _remove_empty(folder: Path, keep: tuple[str, ...] = ()) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir():
            _remove_empty(path)
            if path.name not in keep and not any(path.iterdir()):
                path.rmdir()
                sync_folder(folder)
