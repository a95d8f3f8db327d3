"""Inspects a dataset without a config: its configurations, splits and columns, and the most likely format."""

from dataclasses import dataclass
from pathlib import Path

from hubtune.config.data import FormatName
from hubtune.config.fields import check_column
from hubtune.data.data_files import configurations, resolve_files
from hubtune.data.dataset_repo import snapshot_contents
from hubtune.data.formats.row_format import infer_format
from hubtune.data.rows import read_rows
from hubtune.data.segments import UnreadableRow


@dataclass(frozen=True)
class DatasetInspection:
    """The contents of a dataset.

    Attributes:
        configurations: The names of its configurations.
        name: The one that was looked at; None if there is one alone.
        splits: The names of its splits.
        split: The one that was looked at.
        rows: Rows of that split.
        columns: Its columns.
        format: What they look like; None if they look like nothing known.
        texts: Those that a template can name and whose first row holds text.
    """

    configurations: list[str]
    name: str | None
    splits: list[str]
    split: str
    rows: int
    columns: list[str]
    format: FormatName | None
    texts: list[str]


def inspect_dataset(folder: Path, repo: str) -> DatasetInspection:
    """Inspects the dataset in a folder: its first configuration, and its train split or else its first split.

    Raises:
        DataError: It cannot be read.
    """
    contents = snapshot_contents(folder, repo)
    named = configurations(contents)
    name = named[0] if len(named) > 1 else None
    files = resolve_files(contents, name)
    splits = sorted(files.splits)
    split = "train" if "train" in splits else splits[0]
    rows = read_rows(files, split)
    first = next(iter(rows.batches(rows.columns)))[0]
    cells = {} if isinstance(first, UnreadableRow) else first
    return DatasetInspection(
        configurations=named,
        name=name,
        splits=splits,
        split=split,
        rows=rows.total or 0,
        columns=rows.columns,
        format=infer_format(rows.columns),
        texts=[column for column in rows.columns if _is_words(cells.get(column)) and _nameable(column)],
    )


def _is_words(value: object) -> bool:
    """Whether a value is text, and not a number that a CSV holds."""
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def _nameable(column: str) -> bool:
    try:
        check_column(column)
    except ValueError:
        return False
    return True
