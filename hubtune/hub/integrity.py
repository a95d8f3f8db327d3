"""Which files in the local cache match their repository: their digests, and what was already checked.

The Hub's client only compares the size of a download, and never checks a file in its cache again.
"""

import contextlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from huggingface_hub.utils._fixes import WeakFileLock

from hubtune.errors import FileError, RecordError
from hubtune.files import file_errors
from hubtune.hub.repo_files import StoredFile
from hubtune.records.base import Pin, Record, sha256_file, write_atomic

_SNAPSHOTS, _BLOBS = "snapshots", "blobs"


class KnownFile(Record):
    """A file that was fetched.

    Attributes:
        size: In bytes, as the commit has it.
        blob_id: The id of git's object.
        sha256: Of a large file; null for others.
        seen: Size, times and inode that it had when its digest was found right: unchanged, it is not read again.
    """

    size: int
    blob_id: str
    sha256: str | None = None
    seen: tuple[int, int, int, int] | None = None

    def is_right(self, path: Path) -> bool:
        """Whether the file has this content, by its digest.

        Raises:
            FileError: It cannot be read.
        """
        with file_errors(path, "read"):
            if not path.is_file() or path.stat().st_size != self.size:
                return False
            digest = "" if self.sha256 is None else sha256_file(path)
            return StoredFile(self.size, self.blob_id, self.sha256).holds(path, digest)


class KnownFiles(Record):
    """The fetched files of one commit, by their path."""

    files: dict[str, KnownFile]


def refuse_links(snapshot: Path) -> None:
    """Refuses a snapshot folder that is a symbolic link: its files would be elsewhere.

    The cache's folder itself may be one, or lie behind one: large disks are used so.

    Args:
        snapshot: A folder; in a cache it is `REPOSITORY/snapshots/COMMIT`, whose contents lie in `REPOSITORY/blobs`.

    Raises:
        FileError: It is a link, or one of the folders of its repository is.
    """
    parts = [snapshot]
    if snapshot.parent.name == _SNAPSHOTS:
        repository = snapshot.parent.parent
        parts += [snapshot.parent, repository / _BLOBS, repository]
    for part in parts:
        if part.is_symlink():
            raise FileError(
                f"{part} is a symbolic link, which is not followed within the cache.",
                hint=f"Delete it, and fetch the files again: rm {shlex.quote(str(part))}, then `hubtune pin`. To keep "
                "the cache on another disk, set HF_HOME, or make the cache's whole folder a link.",
            )


class Snapshot:
    """The files of one commit in a cache, with their known digests.

    Args:
        pin: The repository at its commit.
        cache: The cache's folder.

    Raises:
        FileError: Its folder is reached by a symbolic link below the cache's own.
    """

    def __init__(self, pin: Pin, cache: Path) -> None:
        name = f"{pin.type}s--{pin.repo.replace('/', '--')}"
        self.folder = cache / name / _SNAPSHOTS / pin.commit
        refuse_links(self.folder)
        self._blobs = cache / name / _BLOBS
        self._locks = cache / ".locks" / name
        self._files: dict[str, KnownFile] | None = None
        self._note = cache / "hubtune-digests" / name / f"{pin.commit}.json"

    def learn(self, files: Mapping[str, StoredFile]) -> None:
        """Stores the digests of downloaded files, in addition to the known ones."""
        before = self._known()
        for path, stored in files.items():
            new = KnownFile(size=stored.size, blob_id=stored.blob_id, sha256=stored.sha256)
            old = before.get(path)
            before[path] = old if old is not None and old.model_copy(update={"seen": None}) == new else new
        self._files = before
        self._keep(before)

    def damaged(self, paths: Iterable[str] | None = None) -> list[str]:
        """Returns the known files whose content differs from the commit.

        Args:
            paths: The files to look at; None for all.
        """
        known, wrong = self._known() or self._by_blob_names(), []
        before = dict(known)
        for path in list(known if paths is None else paths):
            file, now = known[path], _look(self.folder / path)
            if now is None:
                # What is linked to nothing is missing, and fetched again.
                continue
            if now != file.seen:
                if not file.is_right(self.folder / path):
                    wrong.append(path)
                    continue
                known[path] = file.model_copy(update={"seen": now})
        if known != before:
            self._files = known
            self._keep(known)
        return wrong

    def missing(self) -> list[str]:
        """Returns the files that were downloaded and are missing now."""
        return [path for path in self._known() if _look(self.folder / path) is None]

    def remove(self, path: str) -> None:
        """Removes a file from the cache: its name in the snapshot and its content, which other snapshots share.

        Raises:
            FileError: It cannot be taken out.
        """
        link = self.folder / path
        content = link.resolve()
        with file_errors(link), contextlib.ExitStack() as held:
            if content.parent == self._blobs.resolve():
                self._locks.mkdir(parents=True, exist_ok=True)
                held.enter_context(WeakFileLock(self._locks / f"{content.name}.lock"))
                content.unlink(missing_ok=True)
            link.unlink(missing_ok=True)

    def _known(self) -> dict[str, KnownFile]:
        if self._files is not None:
            return dict(self._files)
        if not self._note.is_file():
            return {}
        try:
            return dict(KnownFiles.read(self._note).files)
        except RecordError:
            # Half a note, or one of another version, says nothing.
            return {}

    def _by_blob_names(self) -> dict[str, KnownFile]:
        """Returns what is known of a snapshot that somebody else fetched: contents are called by their digests."""
        found = {}
        for link in self.folder.rglob("*"):
            content = link.resolve()
            if not link.is_symlink() or content.parent != self._blobs.resolve() or not content.is_file():
                continue
            name, size = content.name, content.stat().st_size
            if len(name) in (40, 64) and set(name) <= set("0123456789abcdef"):
                found[link.relative_to(self.folder).as_posix()] = KnownFile(
                    size=size, blob_id=name, sha256=name if len(name) == 64 else None
                )
        return found

    def _keep(self, files: Mapping[str, KnownFile]) -> None:
        # A cache that cannot be written is checked each time.
        with contextlib.suppress(FileError, OSError):
            self._note.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._note, KnownFiles(files=dict(files)).to_json())


def _look(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
