"""Reads the rows of a pinned data set from its snapshot's folder, offline, and checks that the config fits them."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.fields import template_columns
from hubtune.config.schema import DataConfig
from hubtune.errors import ColumnNotFoundError, DataError, EmptySplitError, SplitNotFoundError
from hubtune.records.base import disk_errors

if TYPE_CHECKING:
    from datasets import Dataset


def read_rows(folder: Path, entry: DataConfig) -> "Dataset":
    """Reads one split of a data set, any format that `datasets` reads without a script.

    Raises:
        SplitNotFoundError: There is no such split; the message names those that there are.
        EmptySplitError: The split has no rows.
        ColumnNotFoundError: The template names a field that is not a column; the message names the columns.
        DataError: The files cannot be read, or a column holds something else than text or numbers.
    """
    rows = _load(folder, entry)
    if len(rows) == 0:
        raise _empty(entry)
    _check_columns(rows, entry)
    return rows


def _load(folder: Path, entry: DataConfig) -> "Dataset":
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    try:
        with disk_errors(folder):
            found = datasets.load_dataset(str(folder), name=entry.name, token=False)
    except StopIteration as error:
        # What `datasets` lets out for a JSON Lines file of no lines.
        raise _empty(entry) from error
    except (ValueError, OSError, DatasetGenerationError) as error:
        if "corresponds to no data" in str(error):
            raise _empty(entry) from error
        cause = error.__cause__ or error
        with disk_errors(folder):
            if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
                raise cause from error
        raise DataError(
            f"The files of {entry.repo} cannot be read as a data set: {cause}",
            hint="JSON Lines, CSV, Parquet and Arrow can; several configurations need `data[].name`.",
        ) from error
    if entry.split not in found:
        raise SplitNotFoundError(
            f"{entry.repo} has no split {entry.split!r}; it has: {', '.join(sorted(found))}.",
            hint="Choose one of these with `data[].split`.",
        )
    return found[entry.split]


def _check_columns(rows: "Dataset", entry: DataConfig) -> None:
    import datasets

    wanted = template_columns(entry.row_template)
    missing = [column for column in wanted if column not in rows.column_names]
    if missing:
        names = ", ".join(repr(column) for column in missing)
        raise ColumnNotFoundError(
            f"{entry.repo} has no column {names}; its columns are: {', '.join(rows.column_names)}.",
            hint="Use these names in the `template` (or `text`) of this data set.",
        )
    for column in wanted:
        feature = rows.features[column]
        if not isinstance(feature, datasets.Value):
            raise DataError(
                f"The column {column!r} of {entry.repo} holds {type(feature).__name__}, which a template cannot write.",
                hint="Use columns of text or numbers.",
            )


def _empty(entry: DataConfig) -> EmptySplitError:
    return EmptySplitError(
        f"The split {entry.split!r} of {entry.repo} has no rows.", hint="Choose another with `data[].split`."
    )
