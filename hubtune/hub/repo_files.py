"""The files of a repository at a commit: their names, digests and bytes.

Names that could mean a different file on some machine are refused, and bytes are used only after they were compared
with the commit's digest. A file can be read in pieces, as a whole, or only its header.
"""

import hashlib
import io
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from huggingface_hub import HfApi, get_session, hf_hub_download, hf_hub_url
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import hf_raise_for_status

from hubtune.documents import BOUNDS, parse_json_object
from hubtune.errors import DocumentError, HubError
from hubtune.files import file_errors, scratch_folder
from hubtune.hub.translate import hub_answer, hub_errors
from hubtune.records.base import RepoType

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_DRIVE = re.compile(r"[A-Za-z]:")
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\..*)?", re.IGNORECASE
)
# Most headers are shorter.
_HEADER = 1 << 17


def require_safe_names(repo: str, paths: Iterable[str]) -> None:
    """Refuses a repository with file names that could mean another file, or leave the folder, on some machine.

    Args:
        repo: The repository, for the message.
        paths: The paths of its files.

    Raises:
        HubError: A name is absolute, leads out of the folder, is reserved, or is another's in other letters.
    """
    seen: dict[str, str] = {}
    for path in paths:
        fault = _fault(path)
        other = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if fault is None and other != path:
            fault = f"it is the same as {other!r} on machines that ignore case"
        if fault is not None:
            raise HubError(
                f"{repo} holds a file called {path!r}, and is not read: {fault}.",
                hint="Ask the repository's owner to rename the file, or choose another repository or revision.",
            )


def _fault(path: str) -> str | None:
    parts = path.split("/")
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in path):
        return "the name holds control characters"
    if "\\" in path:
        return "a backslash separates folders on some machines"
    if path.startswith("/") or _DRIVE.match(path):
        return "the name is absolute"
    if {"", ".", ".."}.intersection(parts):
        return "the name leads out of its folder" if ".." in parts else "a part of the name is empty"
    if any(_RESERVED.fullmatch(part) for part in parts):
        return "the name is reserved for a device on some machines"
    return None


@dataclass(frozen=True)
class StoredFile:
    """A file as a commit has it.

    Attributes:
        size: In bytes.
        blob_id: The id of git's object: of a large file, that of its pointer.
        sha256: Of a large file, which is stored by it; None for the others.
    """

    size: int
    blob_id: str
    sha256: str | None

    def holds(self, content: Path | bytes, sha256: str) -> bool:
        """Whether the file has this content, by the digest under which it is stored."""
        if self.sha256 is not None:
            return self.sha256 == sha256
        if self.size != (len(content) if isinstance(content, bytes) else content.stat().st_size):
            return False
        blob = _git_blob(self.size)
        blob.update(content if isinstance(content, bytes) else content.read_bytes())
        return blob.hexdigest() == self.blob_id


class CheckedFile(io.RawIOBase):
    """The bytes of a file as the Hub sends them; at the end, they are compared with the commit's digest.

    Bytes that are read in order from the start are hashed as they pass; whoever stops before the end checks nothing.

    Args:
        raw: Reads them.
        name: The file, and whose it is, for the message.
        stored: The file as the commit has it.
    """

    def __init__(self, raw: BinaryIO, name: str, stored: StoredFile) -> None:
        self._raw = raw
        self._name = name
        self._stored = stored
        self._restart()

    def readable(self) -> bool:
        """Whether bytes can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether it can go back to its start: always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to the start, the only supported position."""
        if offset or whence:
            raise io.UnsupportedOperation("a file that is checked is read from its start")
        self._restart()
        return self._raw.seek(0)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Reads some bytes.

        Raises:
            HubError: These were the last, and the file is not the one of the commit.
        """
        memory = memoryview(buffer).cast("B")
        piece = self._raw.read(len(memory))
        memory[: len(piece)] = piece
        self._digest.update(piece)
        self._size += len(piece)
        ended = not piece and len(memory) > 0
        if (ended or self._size >= self._stored.size) and not self._is_right(ended=ended):
            raise HubError(
                f"{self._name} was damaged on its way: its digest is not the commit's.",
                hint="Try again; if it happens again, something between this machine and the Hub changes the files.",
                passing=True,
            )
        return len(piece)

    def close(self) -> None:
        """Closes the source of the bytes."""
        if not self.closed:
            self._raw.close()
        super().close()

    def _restart(self) -> None:
        self._digest = _git_blob(self._stored.size) if self._stored.sha256 is None else hashlib.sha256()
        self._size = 0

    def _is_right(self, *, ended: bool) -> bool:
        if self._size != self._stored.size:
            return self._size < self._stored.size and not ended
        return self._digest.hexdigest() == (self._stored.sha256 or self._stored.blob_id)


def list_files(repo: str, commit: str, repo_type: RepoType = "model") -> dict[str, StoredFile]:
    """Returns every file of a repository at a commit, by its path.

    Raises:
        HubError: The repository cannot be read.
    """
    with hub_answer(repo, commit):
        found = {
            str(entry.path): StoredFile(int(entry.size), entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
            for entry in HfApi().list_repo_tree(repo, recursive=True, revision=commit, repo_type=repo_type)
            if isinstance(entry, RepoFile)
        }
    require_safe_names(repo, found)
    return found


def file_digest(repo: str, commit: str, path: str, stored: StoredFile, repo_type: RepoType = "model") -> str:
    """Returns the sha256 of the bytes that the Hub serves for a file of a repository, without storing them.

    Raises:
        HubError: It cannot be read, or was damaged on its way. A large file's digest is for the caller to compare.
    """
    digest = hashlib.sha256()
    _read(_Address(repo, commit, path, repo_type), stored, digest.update)
    return digest.hexdigest()


def file_content(repo: str, commit: str, path: str, stored: StoredFile) -> bytes:
    """Returns the content of a file of a model repository.

    Raises:
        HubError: It cannot be read, or was damaged on its way.
    """
    content = bytearray()
    _read(_Address(repo, commit, path), stored, content.extend)
    return bytes(content)


def download_file(repo: str, commit: str, path: str, stored: StoredFile, target: Path) -> None:
    """Writes a file of a data set repository to `target`, which does not exist; a damaged file is removed.

    Raises:
        HubError: It cannot be read, or was damaged on its way.
        DiskFullError: There is no room for it.
    """
    digest = hashlib.sha256()
    with file_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")

    def take(piece: bytes) -> None:
        with file_errors(target):
            file.write(piece)
        digest.update(piece)

    with file:
        _read(_Address(repo, commit, path, "dataset"), stored, take)
    if stored.sha256 is not None and digest.hexdigest() != stored.sha256:
        with file_errors(target):
            target.unlink()
        raise _damaged(path, repo, commit)


def digests_at(
    repo: str, commit: str, wanted: Collection[str], *, download: bool = False, repo_type: RepoType = "model"
) -> dict[str, str]:
    """Returns the sha256 of each of the files `wanted` that the repository holds at `commit`.

    Args:
        repo: A repository.
        commit: 40 hexadecimal digits.
        wanted: Paths in the repository.
        download: Hash the bytes of every file as a consumer gets them. Else those of small files alone; a large one is
            stored by its sha256, which is part of the commit.
        repo_type: What kind of repository it is.

    Raises:
        HubError: The repository cannot be read.
    """
    wanted = frozenset(wanted)
    return {
        path: stored.sha256
        if stored.sha256 is not None and not download
        else file_digest(repo, commit, path, stored, repo_type)
        for path, stored in list_files(repo, commit, repo_type).items()
        if path in wanted
    }


def differences(repo: str, commit: str, digests: Mapping[str, str], *, download: bool = False) -> list[str]:
    """Returns the files that the repository lacks or has with other content at a commit.

    Args:
        repo: A model repository.
        commit: 40 hexadecimal digits.
        digests: Path in the repository to the sha256 that is expected.
        download: As in `digests_at`.
    """
    found = digests_at(repo, commit, digests, download=download)
    return [
        f"{path}: {'missing' if path not in found else f'sha256 {found[path]} instead of {digest}'}"
        for path, digest in sorted(digests.items())
        if found.get(path) != digest
    ]


def changed_files(repo: str, before: str, after: str) -> set[str]:
    """Returns the paths whose content differs between two commits, or that only one of them has; fetches no content.

    Raises:
        HubError: The repository cannot be read.
    """
    first, second = (
        {(path, stored.blob_id) for path, stored in list_files(repo, commit).items()} for commit in (before, after)
    )
    return {path for path, _ in first ^ second}


def read_file(repo: str, commit: str, path: str) -> bytes | None:
    """Returns the content of one file of a model repository at a commit; None if there is no such file."""
    stored = list_files(repo, commit).get(path)
    return None if stored is None else file_content(repo, commit, path, stored)


def read_files(repo: str, repo_type: RepoType, commit: str, paths: Collection[str]) -> dict[str, bytes]:
    """Returns the content of some files, all of which the repository holds at a commit.

    Raises:
        HubError: They are not available.
    """
    # What the client raises is an OSError too, so its errors are told first.
    with scratch_folder() as folder, file_errors(folder), hub_errors(repo, commit):
        return {
            path: Path(hf_hub_download(repo, path, repo_type=repo_type, revision=commit, local_dir=folder)).read_bytes()
            for path in paths
        }


def read_shapes(repo: str, commit: str, path: str) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each tensor of a safetensors file; only its header is downloaded.

    Raises:
        HubError: It cannot be read.
        DocumentError: It is not such a file: it was cut short or is damaged.
    """
    name = f"The header of {path} of {repo} at {commit}"
    hint = "Choose another revision, or upload the file again if the repository is yours."
    start = _head(repo, commit, path, _HEADER)
    length = int.from_bytes(start[:8], "little") if len(start) >= 8 else -1
    if not 2 <= length <= BOUNDS.size:
        raise DocumentError(f"{path} of {repo} at {commit} is not a safetensors file, or is damaged.", hint=hint)
    if len(start) < 8 + length:
        start = _head(repo, commit, path, 8 + length)
    entries = parse_json_object(start[8 : 8 + length], name, hint=hint)
    shapes = {tensor: entry.get("shape") for tensor, entry in entries.items() if isinstance(entry, dict)}
    return {
        tensor: tuple(size for size in shape if isinstance(size, int))
        for tensor, shape in shapes.items()
        if isinstance(shape, list)
    }


def _head(repo: str, commit: str, path: str, size: int) -> bytes:
    headers = {**build_hf_headers(), "accept-encoding": "identity", "range": f"bytes=0-{size - 1}"}
    content = bytearray()
    with (
        hub_errors(repo, commit),
        get_session().stream("GET", hf_hub_url(repo, path, revision=commit), headers=headers) as response,
    ):
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        for piece in response.iter_bytes():
            content += piece
            # Whoever knows no ranges would send the whole file.
            if len(content) >= size:
                break
    return bytes(content[:size])


@dataclass(frozen=True)
class _Address:
    """A file of a repository at a commit."""

    repo: str
    commit: str
    path: str
    repo_type: RepoType = "model"


def _read(file: _Address, stored: StoredFile, take: Callable[[bytes], object]) -> None:
    repo, commit, path = file.repo, file.commit, file.path
    blob = _git_blob(stored.size)
    # Compressed, a transfer could be damaged in a way that shows as a decoding error of the client's.
    headers = {**build_hf_headers(), "accept-encoding": "identity"}
    url = hf_hub_url(repo, path, revision=commit, repo_type=file.repo_type)
    with (
        hub_errors(repo, commit),
        get_session().stream("GET", url, headers=headers) as response,
    ):
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        for piece in response.iter_bytes():
            take(piece)
            blob.update(piece)
    if stored.sha256 is None and blob.hexdigest() != stored.blob_id:
        raise _damaged(path, repo, commit)


def _damaged(path: str, repo: str, commit: str) -> HubError:
    return HubError(
        f"{path} of {repo} at {commit} was damaged on its way: its digest is not the commit's.",
        hint="Try again; if it happens again, something between this machine and the Hub changes the files.",
        passing=True,
    )


def _git_blob(size: int) -> "hashlib._Hash":
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
