"""Whatever stands in a data file, it is rows or one error that names the file, and a table is what `csv` reads."""

import csv
import io
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubtune.data.csv_rows import SEPARATORS, CsvForm, read_csv
from hubtune.data.json_rows import read_json
from hubtune.data.segments import UnreadableRow
from hubtune.data.text_files import FileRows, TextFile, read_text
from hubtune.errors import DataError

PIECES = [
    "a",
    "b",
    "null",
    "007",
    ",",
    ";",
    "\t",
    '"',
    '""',
    "\n",
    "\r\n",
    "\r",
    " ",
    "\0",
    "\ufeff",
    "\u2028",
    "ä",
    "🤗",
]
JSON_PIECES = [*'{}[]:,"', '{"a":', '"b"', "1.10", "-0", "NaN", "9" * 500, "null", "\\ud800", "\n", " ", "\ufeff", "é"]
ENCODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "gbk", "shift_jis", "utf-8-sig", "cp1252", "hz"]
MARKS = [b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80"]
BYTES = st.tuples(st.sampled_from([b"", *MARKS]), st.binary(max_size=60)).map(b"".join)
READERS: dict[str, Callable[[list[TextFile]], FileRows]] = {
    "csv": partial(read_csv, form=CsvForm()),
    "json": read_json,
    "json field": partial(read_json, field="a"),
    "json head": partial(read_json, head=1),
    "lines": read_text,
    "paragraphs": partial(read_text, by="paragraph"),
}


def _text(pieces: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(st.sampled_from(pieces), st.text(max_size=3)), max_size=40).map("".join)


def _file(content: bytes, encoding: str = "utf-8") -> TextFile:
    return TextFile("rows.x", "org/s", encoding, lambda: io.BytesIO(content))


@pytest.mark.parametrize("reader", READERS)
def test_any_file_is_rows_or_one_error_that_names_it(reader: str, trials: Callable[[int, int], int]):
    pieces = JSON_PIECES if reader.startswith("json") else PIECES
    texts = _text(pieces).map(lambda text: text.encode(errors="surrogatepass"))

    @settings(max_examples=trials(100, 2000), deadline=None)
    @given(st.one_of(texts, BYTES), st.sampled_from(ENCODINGS))
    def check(content: bytes, encoding: str) -> None:
        rows, found, refused = FileRows((), {}, 0, lambda _: iter(())), [], None
        try:
            rows = READERS[reader]([_file(content, encoding)])
            found = list(rows.read(rows.columns))
        except DataError as error:
            refused = error
        if refused is not None:
            assert "org/s" in refused.message
            assert refused.hint
            return
        assert rows.total in (None, len(found))
        assert all(isinstance(row, UnreadableRow) or list(row) == list(rows.columns) for row in found)

    check()


def test_a_table_is_what_the_csv_module_reads(trials: Callable[[int, int], int]):
    refused: list[str] = []

    @settings(max_examples=trials(200, 2000), deadline=None)
    @given(_text(PIECES), st.sampled_from(sorted(SEPARATORS)))
    @example('1"x\n2,"y"z\n', ",")
    def check(body: str, separator: str) -> None:
        text = f"first{separator}second\n{body}"
        try:
            rows = read_csv([_file(text.encode())], CsvForm(separator=separator))
        except DataError as error:
            refused.append(error.message)
            return
        judged = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row][1:]
        assert len(judged) == rows.total
        for row, cells in zip(rows.read(rows.columns), judged, strict=True):
            if len(cells) == 2:
                assert row == {"first": cells[0] or None, "second": cells[1] or None}
            else:
                assert isinstance(row, UnreadableRow)

    check()
    # The last row of such a table would go on for ever.
    assert all("is not closed" in message for message in refused)
