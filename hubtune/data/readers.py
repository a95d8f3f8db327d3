"""Reads CSV, JSON and text files with the options of the config and of the dataset's card."""

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, cast

from hubtune.config.fields import check_encoding, check_separator
from hubtune.data.csv_rows import SEPARATORS, CsvForm, Dialect, read_csv
from hubtune.data.data_files import DataFiles
from hubtune.data.json_rows import read_json
from hubtune.data.text_files import FileRows, TextFile, read_text
from hubtune.errors import DataError
from hubtune.files import file_errors

HEAD = 1000
"""Rows of JSON that are looked at for their columns if not all of them are."""

_QUOTINGS = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE)


def read_files(files: DataFiles, split: str, *, count: bool = True) -> FileRows | None:
    """Returns the rows of a split; None for files with types of their own: Parquet and Arrow.

    Args:
        files: The files of the dataset.
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
        columns = options.get("columns")
        if columns is not None and not (isinstance(columns, list) and all(type(name) is str for name in columns)):
            raise _undone(source, "columns", columns, "a list of names")
        return None
    encoding = files.encoding or _encoding(options, source)
    texts = [
        TextFile(name, source, encoding, partial(_opened, files, name, place))
        for name, place in zip(files.splits[split], files.places(split), strict=True)
    ]
    if files.reader == "csv":
        return read_csv(texts, _form(options, files.separator, source), count=count)
    if files.reader == "json":
        field = None if options.get("field") is None else _text(options, "field", source)
        return read_json(texts, field, head=None if count else HEAD)
    by = options.get("sample_by", "line")
    if not isinstance(by, str) or by not in ("line", "paragraph", "document"):
        raise _undone(source, "sample_by", by, "`line`, `paragraph` or `document`")
    return read_text(texts, by, keep_ends=_truth(options, "keep_linebreaks", source), count=count)


def _opened(files: DataFiles, name: str, place: str) -> BinaryIO:
    if place.startswith("hf://"):
        from datasets.utils.file_utils import xopen

        return files.contents.checked(name, cast("BinaryIO", xopen(place, "rb")))
    with file_errors(Path(place), "read"):
        return Path(place).open("rb")


def _encoding(options: Mapping[str, object], source: str) -> str:
    stated = options.get("encoding")
    try:
        return "utf-8" if stated is None else check_encoding(_text(options, "encoding", source))
    except ValueError as error:
        raise DataError(
            f"The card of {source} names an encoding that cannot be used: {error}.",
            hint="Name the right one as `data[].encoding`.",
        ) from None


def _form(options: Mapping[str, object], separator: str | None, source: str) -> CsvForm:
    """Returns how a table is written, by the names that `datasets` gives it."""
    columns = _names(options, source)
    header = options.get("header", "infer")
    if isinstance(header, bool | float) or header not in ("infer", None, 0) or (header is None and not columns):
        raise _undone(source, "header", header, "`infer`, 0, or null with `names`")
    key = "delimiter" if options.get("delimiter") is not None else "sep"
    chosen = separator or options.get(key)
    try:
        by = None if chosen is None else check_separator(separator or _text(options, key, source))
    except ValueError:
        raise _undone(source, key, chosen, "one character that is neither a quote, a letter nor a digit") from None
    return CsvForm(
        separator=by, names=columns, has_header=not columns or header == 0, dialect=_dialect(options, by, source)
    )


def _dialect(options: Mapping[str, object], separator: str | None, source: str) -> Dialect:
    taken = set(SEPARATORS) if separator is None else {separator}
    dialect = Dialect()
    for key in ("quotechar", "escapechar"):
        if options.get(key) is not None:
            sign = _text(options, key, source)
            if len(sign) != 1 or sign in "\r\n\0 " or sign in taken:
                raise _undone(source, key, sign, "one character that is not a space and separates no cells or rows")
            taken.add(sign)
            dialect["quotechar" if key == "quotechar" else "escapechar"] = sign
    for name in ("doublequote", "skipinitialspace"):
        if options.get(name) is not None:
            dialect["doublequote" if name == "doublequote" else "skipinitialspace"] = _truth(options, name, source)
    quoting = options.get("quoting")
    if quoting is not None:
        if type(quoting) is not int or quoting not in _QUOTINGS:
            raise _undone(source, "quoting", quoting, "0, 1 or 3")
        dialect["quoting"] = cast("Literal[0, 1, 3]", quoting)
    return dialect


def _names(options: Mapping[str, object], source: str) -> tuple[str, ...]:
    key = "column_names" if options.get("column_names") is not None else "names"
    stated = options.get(key)
    if stated is None:
        return ()
    # YAML makes numbers of names such as 0.
    names = [str(name) for name in stated if type(name) in (str, int)] if isinstance(stated, list) else None
    if names is None or len(names) != len(cast("list[object]", stated)):
        raise _undone(source, key, stated, "a list of names")
    return tuple(names)


def _text(options: Mapping[str, object], key: str, source: str) -> str:
    value = options[key]
    if not isinstance(value, str) or not value:
        raise _undone(source, key, value, "text")
    return value


def _truth(options: Mapping[str, object], key: str, source: str) -> bool:
    value = options.get(key)
    if value is not None and not isinstance(value, bool):
        raise _undone(source, key, value, "true or false")
    return bool(value)


def _undone(source: str, key: str, value: object, allowed: str) -> DataError:
    return DataError(
        f"The card of {source} asks to read its files with {key}: {str(value)[:60]!r}; what can be read is {allowed}.",
        hint="Choose another revision or configuration, or save the rows as a file and name it as `data[].path`.",
    )
