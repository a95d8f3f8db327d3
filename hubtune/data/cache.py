"""Caches encoded rows between runs, next to the cache of `datasets` (HF_HOME, HF_DATASETS_CACHE).

An entry is a folder with the rows and a record of them. Its key is derived from everything that influences the encoded
rows. An entry is written to a temporary folder and renamed when it is complete. So a crash leaves no incomplete entry,
and two processes can create the same entry at the same time. Its digest is checked before each use. Only the user can
read it.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune import templating
from hubtune.config.data import COPY_KINDS
from hubtune.data.data_files import PinnedData
from hubtune.data.row_batches import EncodingSettings
from hubtune.data.store import ROWS_FILE, Store
from hubtune.errors import RecordError
from hubtune.files import file_errors
from hubtune.records.base import sha256_file, write_atomic
from hubtune.records.data import EncodedRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_RECORD = "rows.json"
_NEW = "new-"
UNUSED_DAYS = 30
"""Entries that no run has used for so long are removed when a new one is made."""
LARGEST = 50_000_000_000
"""Bytes of all entries together; if there are more, those go first that were not used for the longest time."""
_DAY = 86_400
# Whose versions decide how a row is read, written and encoded.
_LIBRARIES = (
    *("tokenizers", "transformers", "datasets", "pyarrow", "numpy", "jinja2"),
    *("datasketch", "phonenumbers"),
)


def cache_root() -> Path:
    """Returns the folder of all entries."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / "hubtune"


def find(key: str) -> tuple[EncodedRecord, Store] | None:
    """Returns the complete entry of that key, or None."""
    folder = cache_root() / key
    rows = folder / ROWS_FILE
    try:
        record = EncodedRecord.read(folder / _RECORD)
        if rows.stat().st_size != record.size or sha256_file(rows) != record.sha256:
            return None
        store = Store(rows)
        os.utime(folder / _RECORD)
    except (RecordError, OSError, ValueError):
        return None
    return record, store


def make(key: str, write: Callable[[Path], EncodedRecord]) -> tuple[EncodedRecord, Store]:
    """Creates an entry, replacing an incomplete one, and removes entries that were not used for long.

    Args:
        key: Its key.
        write: Writes the rows into a folder and returns the record of them. If it raises, nothing is kept.

    Raises:
        DiskFullError: There is no room.
    """
    root = cache_root()
    with file_errors(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _new_folder(root) as folder:
            record = write(folder)
            write_atomic(folder / _RECORD, record.to_json())
            # Opened before it is renamed: whoever removes the entry meanwhile takes nothing from this process.
            store = Store(folder / ROWS_FILE)
            _put(folder, root / key)
        _tidy(root, key)
    return record, Store(root / key / ROWS_FILE) if (root / key / ROWS_FILE).is_file() else store


@contextlib.contextmanager
def _new_folder(root: Path) -> Iterator[Path]:
    # `mkdtemp` gives rights to the user alone.
    folder = Path(tempfile.mkdtemp(dir=root, prefix=_NEW))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, place: Path) -> None:
    """Renames a complete folder; if another process was faster, or left something damaged, that goes."""
    for _ in range(3):
        with contextlib.suppress(OSError):
            folder.rename(place)
            return
        with contextlib.suppress(OSError), _new_folder(place.parent) as aside:
            place.rename(aside / "old")


def _tidy(root: Path, key: str) -> None:
    """Removes entries that no run has used for long, what a crash left, and the oldest if all take too much room."""
    now = time.time()
    entries: list[tuple[float, int, Path]] = []
    for folder in root.iterdir():
        with contextlib.suppress(OSError):
            if folder.name.startswith(_NEW):
                if now - folder.stat().st_mtime > _DAY:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            used = (folder / _RECORD).stat().st_mtime
            entries.append((used, (folder / ROWS_FILE).stat().st_size, folder))
    room = LARGEST
    for used, size, folder in sorted(entries, reverse=True):
        room -= size
        if folder.name != key and (now - used > UNUSED_DAYS * _DAY or room < 0):
            shutil.rmtree(folder, ignore_errors=True)


def key_of(data: PinnedData, settings: EncodingSettings) -> str:
    """Returns the key of a dataset's encoded rows: a digest of everything that influences them.

    Args:
        data: The dataset, and where it lies.
        settings: The other settings that decide it.
    """
    entry, pin, screen = data.entry, data.pin, settings.screen
    described = {
        "data": None if pin is None else [pin.repo, pin.commit],
        "files": [] if entry.streaming else _files(data.place),
        "entry": entry.model_dump(mode="json", exclude={"license", "weight", "path", "repo", "revision"}),
        "tokenizer": _tokenizer_digest(settings.tokenizer),
        "max_length": settings.max_length,
        "screen": screen.model_dump(mode="json", exclude={str(kind) for kind in COPY_KINDS}),
        "seed": settings.seed,
        "versions": {name: version(name) for name in _LIBRARIES},
        "python": [platform.python_version(), unicodedata.unidata_version],
        "code": _code_digest(),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:40]


def _files(place: Path) -> list[list[str | int]]:
    """Returns what tells the files of a snapshot, or a local file, from others, down to a change by hand."""
    if place.is_file():
        return [[sha256_file(place)]]
    found: list[list[str | int]] = []
    for path in sorted(place.rglob("*")):
        real = path.resolve()
        if real.is_file():
            about = real.stat()
            found.append([str(path.relative_to(place)), real.name, about.st_size, about.st_mtime_ns])
    return found


def _tokenizer_digest(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Returns a digest of a tokenizer as it is in memory, wherever its files came from."""
    digest = hashlib.sha256(type(tokenizer).__name__.encode())
    if tokenizer.is_fast:
        backend = tokenizer.backend_tokenizer
        # What the last call left there; each call sets its own.
        backend.no_truncation()
        backend.no_padding()
        digest.update(backend.to_str().encode())
    else:
        digest.update(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode())
        for name in ("vocab_file", "merges_file"):
            path = getattr(tokenizer, name, None)
            digest.update(sha256_file(Path(path)).encode() if path and Path(path).is_file() else b"-")
    about = {
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "added": {str(number): repr(token) for number, token in tokenizer.added_tokens_decoder.items()},
        "chat_template": tokenizer.chat_template,
        "sides": [tokenizer.truncation_side, tokenizer.padding_side],
        "inputs": list(tokenizer.model_input_names),
    }
    digest.update(json.dumps(about, sort_keys=True).encode())
    return digest.hexdigest()


def _code_digest() -> str:
    """Returns a digest of hubtune's code for data and templates: another version of it may encode rows differently."""
    digest = hashlib.sha256()
    for package in (Path(__file__).parent, Path(templating.__file__).parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
