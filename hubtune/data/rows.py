"""Reads the rows of a pinned data set from its snapshot's folder, offline, without running anything that is in it."""

import errno
import itertools
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.data import DataConfig
from hubtune.data.json_lines import JsonLines, Line
from hubtune.errors import DataError, EmptySplitError, SplitNotFoundError
from hubtune.records.base import disk_errors

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder, Features

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
_READABLE = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
BATCH = 1000
# What reads a local file, by how its name ends.
_READERS = {
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "json"),
    **{".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".arrow": "arrow"},
}


@dataclass(frozen=True)
class Rows:
    """The rows of one split or a part of it.

    Attributes:
        columns: The names of the columns.
        nested: Those that hold lists or mappings, and what: the name of the kind.
        class_names: The class names of those that hold ids of classes, by column.
        total: How many rows there are; None where that shows at their end.
    """

    columns: list[str]
    nested: Mapping[str, str]
    class_names: Mapping[str, tuple[str, ...]]
    total: int | None
    _read: Callable[[Sequence[str]], Iterator[list[Line]]]

    def batches(self, wanted: Sequence[str]) -> Iterator[list[Line]]:
        """Gives the rows, some at a time, with the wanted columns alone; None for a row that could not be parsed."""
        return self._read(wanted)


def read_rows(place: Path, entry: DataConfig, source: str, split: str | None = None) -> Rows:
    """Reads a split of a data set, of any format that `datasets` reads without a script.

    Args:
        place: The snapshot's folder, or a local file, which has one split, `train`.
        entry: The data set's part of the config.
        source: What to call it.
        split: The split; None for `entry.split`.

    Raises:
        SplitNotFoundError: There is no such split; the message names those that there are.
        EmptySplitError: The split has no rows.
        DataError: The files cannot be read.
    """
    split = split or entry.split
    rows = _part(_load(place, entry, source, split), split, source)
    if rows.total == 0:
        raise _empty(source, split)
    return rows


def splits_of(folder: Path, name: str | None, source: str) -> list[str]:
    """Returns the names of a data set's splits, by name.

    Raises:
        DataError: The files cannot be read.
    """
    return sorted(_load(folder, DataConfig(repo=source, name=name), source, "train"))


def _load(place: Path, entry: DataConfig, source: str, split: str) -> "Mapping[str, Dataset | JsonLines]":
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    if entry.path is None:
        _refuse_closed_folder(place, source)
    builder = None
    try:
        with disk_errors(place):
            builder = _file_builder(place) if entry.path else datasets.load_dataset_builder(str(place), name=entry.name)
            _refuse_archives(_files(builder), source)
            builder.download_and_prepare()
            return dict(builder.as_dataset())
    except StopIteration as error:
        # What `datasets` lets out for a JSON Lines file of no lines.
        raise _empty(source, split) from error
    except (ValueError, OSError, DatasetGenerationError, zipfile.BadZipFile) as error:
        if "corresponds to no data" in str(error):
            raise _empty(source, split) from error
        cause = error.__cause__ or error
        with disk_errors(place):
            if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
                raise cause from error
        found = _line_by_line(builder)
        if found is not None:
            return found
        raise DataError(
            f"The files of {source} cannot be read as a data set: {cause}",
            hint="JSON Lines, CSV, Parquet and Arrow can, whole and of one form; "
            "several configurations need `data[].name`.",
        ) from error


def _file_builder(path: Path) -> "DatasetBuilder":
    import datasets

    if not path.is_file():
        raise DataError(f"There is no file {path}.", hint="Correct `data[].path`; it starts at the config's folder.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path.name} is no file that can be read as rows: its name ends with {path.suffix!r}.",
            hint=f"Use a file whose name ends with {', '.join(_READERS)}; archives and scripts are not opened.",
        )
    options = {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
    return datasets.load_dataset_builder(reader, data_files={"train": str(path)}, **options)


def _refuse_closed_folder(folder: Path, source: str) -> None:
    """Refuses a folder whose data is in an archive or would come out of a script: neither is opened."""
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    if any(name.lower().removesuffix(".gz").endswith(_READABLE) for name in names):
        return
    closed = [name for name in names if name.lower().endswith((*_ARCHIVES, ".py"))]
    if closed:
        script = closed[0].endswith(".py")
        what = "a loading script, which is never run" if script else "an archive, which is not opened"
        raise DataError(
            f"{source} has no data but {closed[0]}: {what}.",
            hint="Choose a revision with JSON Lines, CSV, Parquet or Arrow files, or make one of what is in it.",
        )


def _refuse_archives(files: Mapping[str, Sequence[str]], source: str) -> None:
    for names in files.values():
        for name in names:
            if name.lower().endswith(_ARCHIVES):
                raise DataError(
                    f"{Path(name).name} of {source} is an archive, which is not opened.",
                    hint="Unpack it, and use the JSON Lines, CSV, Parquet or Arrow files in it.",
                )


def _files(builder: "DatasetBuilder") -> dict[str, list[str]]:
    found = builder.config.data_files or {}
    return {str(split): [str(name) for name in names] for split, names in found.items()}


def _line_by_line(builder: "DatasetBuilder | None") -> dict[str, JsonLines] | None:
    files = _files(builder) if builder is not None else {}
    every = [name for names in files.values() for name in names]
    if not every or not all(name.endswith((".jsonl", ".json", ".ndjson")) for name in every):
        return None
    found = {split: JsonLines.look_at([Path(name) for name in names]) for split, names in files.items()}
    return None if None in found.values() else {split: rows for split, rows in found.items() if rows is not None}


def _part(found: "Mapping[str, Dataset | JsonLines]", wanted: str, source: str) -> Rows:
    import datasets

    names = [part.strip().partition("[")[0] for part in wanted.split("+")]
    for name in names:
        if name not in found:
            raise SplitNotFoundError(
                f"{source} has no split {name!r}; it has: {', '.join(sorted(found))}.",
                hint="Choose one of these with `data[].split`.",
            )
    try:
        instruction = datasets.ReadInstruction.from_spec(wanted)
        parts = instruction.to_absolute({name: len(rows) for name, rows in found.items()})
        chosen = [_cut(found[part.splitname], part.from_ or 0, part.to) for part in parts]
    except (ValueError, AssertionError, IndexError) as error:
        raise SplitNotFoundError(
            f"{source} has no part {wanted!r}: {error}", hint="Count from 0, such as train[:100] or train[10%:20%]."
        ) from error
    lines = [rows for rows in chosen if isinstance(rows, JsonLines)]
    if lines:
        columns = list(dict.fromkeys(column for rows in lines for column in rows.columns))
        return Rows(columns, {}, {}, sum(len(rows) for rows in lines), partial(_batches_of_lines, lines))
    parsed = [rows for rows in chosen if not isinstance(rows, JsonLines)]
    whole: Dataset = parsed[0] if len(parsed) == 1 else datasets.concatenate_datasets(parsed)
    return described(whole.features, len(whole), partial(_batches, whole))


def described(features: "Features", total: int | None, read: Callable[[Sequence[str]], Iterator[list[Line]]]) -> Rows:
    """Returns rows with what their features say of the columns."""
    import datasets

    flat = (datasets.Value, datasets.ClassLabel, datasets.Json)
    return Rows(
        columns=list(features),
        nested={name: type(kind).__name__ for name, kind in features.items() if not isinstance(kind, flat)},
        class_names={name: _class_names(kind) for name, kind in features.items() if _class_names(kind)},
        total=total,
        _read=read,
    )


def _batches(rows: "Dataset", wanted: Sequence[str]) -> Iterator[list[Line]]:
    for batch in rows.select_columns(list(wanted)).iter(BATCH):
        yield [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


def _batches_of_lines(parts: Sequence[JsonLines], wanted: Sequence[str]) -> Iterator[list[Line]]:
    lines = itertools.chain(*parts)
    while some := list(itertools.islice(lines, BATCH)):
        yield [None if row is None else {column: row.get(column) for column in wanted} for row in some]


def _cut(rows: "Dataset | JsonLines", start: int, end: int | None) -> "Dataset | JsonLines":
    if isinstance(rows, JsonLines):
        return rows.part(start, len(rows) if end is None else end)
    whole = start == 0 and end in (None, len(rows))
    return rows if whole else rows.select(range(start, len(rows) if end is None else end))


def _class_names(feature: object) -> tuple[str, ...]:
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    return tuple(str(name) for name in names) if names else ()


def _empty(source: str, split: str) -> EmptySplitError:
    return EmptySplitError(f"The split {split!r} of {source} has no rows.", hint="Choose another with `data[].split`.")
