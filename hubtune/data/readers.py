"""Reads files of CSV, JSON and text by what the config and the data set's card say of how they are written."""

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from hubtune.config.fields import check_encoding, check_separator
from hubtune.data.csv_rows import CsvForm, Dialect, read_csv
from hubtune.data.file_rows import FileRows
from hubtune.data.files import DataFiles
from hubtune.data.json_rows import read_json
from hubtune.data.text_files import TextFile
from hubtune.data.text_rows import read_text
from hubtune.errors import DataError
from hubtune.files import file_errors

HEAD = 1000
"""Rows of JSON that are looked at for their columns where not all of them are."""

_QUOTINGS = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE)


def read_files(files: DataFiles, split: str, *, count: bool = True) -> FileRows | None:
    """Returns the rows of a split; None for files that say themselves what their values are: Parquet and Arrow.

    Args:
        files: The files of the data set.
        split: One of its splits.
        count: Go through all rows once: so it is known how many there are, and all columns of JSON.

    Raises:
        DataError: They cannot be read, or the card or the config asks for what is not done.
        FileError: A file cannot be opened.
    """
    source, options = files.source, dict(files.options)
    if files.separator is not None and files.reader != "csv":
        raise DataError(
            f"The files of {source} are not CSV, so no `separator` stands between cells.",
            hint="Leave `data[].separator` out.",
        )
    if files.reader in ("parquet", "arrow"):
        if files.encoding is not None:
            raise DataError(
                f"The files of {source} are not text, so they have no encoding.", hint="Leave `data[].encoding` out."
            )
        return None
    encoding = files.encoding or _encoding(options.get("encoding"), source)
    texts = [
        TextFile(name, source, encoding, partial(_opened, files, name, place))
        for name, place in zip(files.splits[split], files.places(split), strict=True)
    ]
    if files.reader == "csv":
        return read_csv(texts, _form(options, files.separator, source), count=count)
    if files.reader == "json":
        field = options.get("field")
        return read_json(texts, None if field is None else str(field), head=None if count else HEAD)
    by = str(options.get("sample_by") or "line")
    if by not in ("line", "paragraph", "document"):
        raise _undone(source, "sample_by", by)
    return read_text(texts, by, keep_ends=bool(options.get("keep_linebreaks")), count=count)


def _opened(files: DataFiles, name: str, place: str) -> BinaryIO:
    if place.startswith("hf://"):
        from datasets.utils.file_utils import xopen

        return files.contents.checked(name, cast("BinaryIO", xopen(place, "rb")))
    with file_errors(Path(place), "read"):
        return Path(place).open("rb")


def _encoding(stated: object, source: str) -> str:
    try:
        return check_encoding(str(stated or "utf-8"))
    except ValueError as error:
        raise DataError(
            f"The card of {source} names an encoding that cannot be used: {error}.",
            hint="Name the right one as `data[].encoding`.",
        ) from None


def _form(options: Mapping[str, object], separator: str | None, source: str) -> CsvForm:
    """Returns how a table is written, by the names that `datasets` gives it."""
    columns = options.get("column_names") or options.get("names")
    header = options.get("header", "infer")
    chosen = separator or options.get("delimiter") or options.get("sep")
    if header not in ("infer", None, 0) or (header is None and columns is None):
        raise _undone(source, "header", header)
    try:
        by = None if chosen is None else check_separator(str(chosen))
    except ValueError:
        raise _undone(source, "sep", chosen) from None
    keys = ("quotechar", "escapechar", "doublequote", "skipinitialspace", "quoting")
    dialect = cast("Dialect", {key: options[key] for key in keys if options.get(key) is not None})
    odd = [key for key in keys[:2] if key in dialect and len(str(options[key])) != 1]
    if odd or dialect.get("quoting", csv.QUOTE_MINIMAL) not in _QUOTINGS:
        key = odd[0] if odd else "quoting"
        raise _undone(source, key, options[key])
    return CsvForm(
        separator=by,
        names=tuple(str(name) for name in columns) if isinstance(columns, list | tuple) else (),
        has_header=columns is None or header == 0,
        dialect=dialect,
    )


def _undone(source: str, key: str, value: object) -> DataError:
    return DataError(
        f"The card of {source} asks to read its files with {key}: {str(value)[:60]!r}, which hubtune does not do.",
        hint="Choose another revision or configuration, or save the rows as a file and name it as `data[].path`.",
    )
