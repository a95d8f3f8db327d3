"""Reads the rows of a split, or of a part of one, from a snapshot's folder: offline, and without running its code.

CSV, JSON and text are read by hubtune itself, and Parquet and Arrow by `datasets` with a list of files and limits on
memory. Rows come in batches of limited size with only the requested columns, and nothing that a cell names is ever
opened.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import pyarrow as pa

from hubtune.data.data_files import DataFiles
from hubtune.data.readers import read_files
from hubtune.data.segments import READABLE, RawRow, UnreadableRow, as_written, reason_of, unreadable
from hubtune.data.text_files import FileRows
from hubtune.errors import DataError, EmptySplitError, HubtuneError, SplitNotFoundError
from hubtune.files import disk_is_full, explain, file_errors

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder, Features

BATCH = 1000
# Of a batch, in characters: a thousand rows may each be as long as a row can be.
_HEAVIEST = 1 << 23
# What a value takes beside its characters.
_VALUE = 64


@dataclass(frozen=True)
class Rows:
    """The rows of one split or a part of it.

    Attributes:
        columns: The names of the columns.
        nested: Those that hold lists or mappings, and what: the name of the kind.
        class_names: The class names of those that hold ids of classes, by column.
        total: How many rows there are; None if that shows at their end.
        separator: What separates the cells of CSV files; None for others.
    """

    columns: list[str]
    nested: Mapping[str, str]
    class_names: Mapping[str, tuple[str, ...]]
    total: int | None
    _read: Callable[[Sequence[str]], Iterator[list[RawRow]]]
    separator: str | None = None

    def batches(self, wanted: Sequence[str]) -> Iterator[list[RawRow]]:
        """Yields the rows in batches, with only the requested columns."""
        return self._read(wanted)


def read_rows(files: DataFiles, split: str) -> Rows:
    """Reads a split of a dataset.

    Args:
        files: The files of the dataset.
        split: A split, or a part of one in the notation of `datasets`.

    Raises:
        SplitNotFoundError: There is no such split; the message names those that there are.
        EmptySplitError: The split has no rows.
        DataError: The files cannot be read.
    """
    rows = _part(files, split)
    if rows.total == 0:
        raise _empty(files.source, split)
    return rows


def builder_of(files: DataFiles) -> "DatasetBuilder":
    """Returns the reader of the files; the files are given explicitly, so it resolves nothing itself.

    Raises:
        ValueError: The card asks for what its reader cannot do.
    """
    from datasets.data_files import DataFilesDict, DataFilesList
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    from hubtune.data.columnar import BoundedArrow, BoundedParquet

    _, code = _PACKAGED_DATASETS_MODULES[files.reader]
    chosen = DataFilesDict()
    for split in files.splits:
        places = files.places(split)
        chosen[split] = DataFilesList(places, [_origin(place) for place in places])
    kind = BoundedParquet if files.reader == "parquet" else BoundedArrow
    builder = kind(dataset_name=files.reader, hash=code, data_files=chosen, features=files.features, **files.options)
    names = {
        place: name for split, own in files.splits.items() for name, place in zip(own, files.places(split), strict=True)
    }
    builder.called = {
        place: name if name == files.source else f"{name} of {files.source}" for place, name in names.items()
    }
    builder.checked = lambda place, raw: files.contents.checked(names[place], raw)
    return builder


def _origin(place: str) -> tuple[str, ...]:
    """Returns what tells a file from a later file that replaces it, for the cache of `datasets`."""
    if place.startswith("hf://"):
        return (place,)
    about = Path(place).stat()
    return (str(Path(place).resolve()), str(about.st_size), str(about.st_mtime_ns))


def _read(files: DataFiles, names: Sequence[str]) -> "Mapping[str, Dataset | FileRows]":
    """Returns the rows of some splits."""
    places = [Path(place) for name in files.splits for place in files.places(name)]
    _refuse_disguised(places, files.source)
    own = {name: read_files(files, name) for name in names}
    return _loaded(files) if None in own.values() else {name: rows for name, rows in own.items() if rows is not None}


def _loaded(files: DataFiles) -> "Mapping[str, Dataset]":
    """Returns the rows of all splits as `datasets` reads them: those of files that say what their values are."""
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    folder = next((Path(place).parent for name in files.splits for place in files.places(name)), Path())
    try:
        builder = builder_of(files)
        builder.download_and_prepare()
        return dict(builder.as_dataset())
    except (*unreadable(), DatasetGenerationError) as error:
        if "corresponds to no data" in str(error):
            raise _empty(files.source, next(iter(files.splits))) from error
        cause = error.__cause__ or error
        if isinstance(cause, HubtuneError):
            raise cause from error
        if isinstance(cause, OSError) and disk_is_full(cause):
            raise explain(cause, folder) from error
        raise DataError(
            f"The files of {files.source} cannot be read as a dataset: {reason_of(error)}",
            hint=READABLE,
        ) from error


def _refuse_disguised(places: Sequence[Path], source: str) -> None:
    """Refuses archives under other names: `datasets` would unpack them."""
    from datasets.utils.extract import Extractor

    for place in places:
        with file_errors(place, "read"):
            kind = Extractor.infer_extractor_format(place)
        if kind in ("tar", "zip", "rar", "7z"):
            raise DataError(
                f"{place.name} of {source} is an archive under another name, which is not opened.",
                hint="Unpack it, and use the JSON Lines, CSV, Parquet or Arrow files in it.",
            )


def _part(files: DataFiles, wanted: str) -> Rows:
    source = files.source
    names = [part.strip().partition("[")[0] for part in wanted.split("+")]
    for name in names:
        if name not in files.splits:
            raise SplitNotFoundError(
                f"{source} has no split {name!r}; it has: {', '.join(sorted(files.splits))}.",
                hint="Choose one of these with `data[].split`.",
            )
    found = _read(files, list(dict.fromkeys(names)))
    try:
        instruction = datasets.ReadInstruction.from_spec(wanted)
        parts = instruction.to_absolute({name: len(rows) for name, rows in found.items()})
        chosen = [_cut(found[part.splitname], part.from_ or 0, part.to) for part in parts]
    except (ValueError, AssertionError, IndexError) as error:
        raise SplitNotFoundError(
            f"{source} has no part {wanted!r}: {error}", hint="Count from 0, such as train[:100] or train[10%:20%]."
        ) from error
    own = [rows for rows in chosen if isinstance(rows, FileRows)]
    if own:
        return joined(files, own)
    parsed = [rows for rows in chosen if not isinstance(rows, FileRows)]
    whole: Dataset = parsed[0] if len(parsed) == 1 else datasets.concatenate_datasets(parsed)
    return described(whole.features, len(whole), partial(_batches, whole), source)


def joined(files: DataFiles, parts: Sequence[FileRows]) -> Rows:
    """Returns parts of splits whose files hubtune reads itself, in sequence."""
    features: Mapping[str, object] = files.features or {}
    totals = [rows.total for rows in parts]
    return Rows(
        columns=list(dict.fromkeys(column for rows in parts for column in rows.columns)),
        nested={column: what for rows in parts for column, what in rows.nested.items()},
        class_names=_all_class_names(features),
        total=None if None in totals else sum(known for known in totals if known is not None),
        _read=partial(_unopened, features, files.source, partial(_batches_of_files, parts, _stated_texts(features))),
        separator=next((rows.separator for rows in parts if rows.separator), None),
    )


def described(
    features: "Features", total: int | None, read: Callable[[Sequence[str]], Iterator[list[RawRow]]], source: str
) -> Rows:
    """Returns rows with the types of their columns; cells that name files are never opened."""
    flat = (datasets.Value, datasets.ClassLabel, datasets.Json)
    return Rows(
        columns=list(features),
        nested={name: type(kind).__name__ for name, kind in features.items() if not isinstance(kind, flat)},
        class_names=_all_class_names(features),
        total=total,
        _read=partial(_unopened, features, source, read),
    )


def _unopened(
    features: "Mapping[str, object]",
    source: str,
    read: Callable[[Sequence[str]], Iterator[list[RawRow]]],
    wanted: Sequence[str],
) -> Iterator[list[RawRow]]:
    """Gives rows, unless `datasets` would open what their cells name to decode it: a file or an address of any kind."""
    for column in wanted:
        kind = _opened(features.get(column))
        if kind is not None:
            raise DataError(
                f"The column {column!r} of {source} is of the type {kind}, whose files are not opened.",
                hint="Use columns of text or numbers.",
            )
    yield from read(wanted)


def _opened(feature: object) -> str | None:
    """Returns the name of a type within a feature that is decoded from what a cell names or holds; None without one."""
    if isinstance(feature, dict):
        inner = list(feature.values())
    elif isinstance(feature, list | tuple):
        inner = list(feature)
    elif isinstance(feature, datasets.List | datasets.LargeList):
        inner = [feature.feature]
    else:
        plain = (datasets.Value, datasets.ClassLabel, datasets.Json, datasets.Translation)
        return None if feature is None or isinstance(feature, plain) else type(feature).__name__
    return next((kind for kind in map(_opened, inner) if kind is not None), None)


def _batches(rows: "Dataset", wanted: Sequence[str]) -> Iterator[list[RawRow]]:
    chosen = rows.select_columns(list(wanted))
    tables = chosen.with_format("arrow")
    for start in range(0, len(rows), BATCH):
        for first, end in _light(tables[start : start + BATCH], start):
            batch = chosen[first:end]
            yield [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


def _light(table: pa.Table, start: int) -> Iterator[tuple[int, int]]:
    """Gives where the parts of a table begin and end that each hold no more than a batch may."""
    if len(table) <= 1 or table.nbytes <= _HEAVIEST:
        yield start, start + len(table)
        return
    half = len(table) // 2
    yield from _light(table.slice(0, half), start)
    yield from _light(table.slice(half), start + half)


def _batches_of_files(
    parts: Sequence[FileRows], texts: Collection[str], wanted: Sequence[str]
) -> Iterator[list[RawRow]]:
    lines = itertools.chain.from_iterable(rows.read(wanted) for rows in parts)
    stated = [column for column in wanted if column in texts]
    for some in by_weight(lines):
        for line in some if stated else ():
            if not isinstance(line, UnreadableRow):
                line.update({column: as_written(line[column]) for column in stated})
        yield some


def by_weight(lines: Iterator[RawRow]) -> Iterator[list[RawRow]]:
    """Yields rows in batches: a fixed number, or fewer if they are large."""
    some: list[RawRow] = []
    weight = 0
    for line in lines:
        some.append(line)
        weight += _weight(line)
        if len(some) == BATCH or weight > _HEAVIEST:
            yield some
            some, weight = [], 0
    if some:
        yield some


def _weight(value: object) -> int:
    if isinstance(value, str | bytes):
        return _VALUE + len(value)
    if isinstance(value, dict):
        return _VALUE + sum(map(len, value)) + sum(map(_weight, value.values()))
    return _VALUE + (sum(map(_weight, value)) if isinstance(value, list) else 0)


def _stated_texts(features: "Mapping[str, object]") -> frozenset[str]:
    """Returns the columns that the card says to be text: a number in them is one, though JSON does not quote it."""
    texts = ("string", "large_string")
    return frozenset(
        name for name, kind in features.items() if isinstance(kind, datasets.Value) and kind.dtype in texts
    )


def _cut(rows: "Dataset | FileRows", start: int, end: int | None) -> "Dataset | FileRows":
    if isinstance(rows, FileRows):
        return rows.part(start, end)
    whole = start == 0 and end in (None, len(rows))
    return rows if whole else rows.select(range(start, len(rows) if end is None else end))


def _all_class_names(features: "Mapping[str, object]") -> dict[str, tuple[str, ...]]:
    return {name: _class_names(kind) for name, kind in features.items() if _class_names(kind)}


def _class_names(feature: object) -> tuple[str, ...]:
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    return tuple(str(name) for name in names) if names else ()


def _empty(source: str, split: str) -> EmptySplitError:
    return EmptySplitError(
        f"The split {split!r} of {source} has no rows.",
        hint="Choose another with `data[].split`, or a file that has rows.",
    )
