"""Reads Parquet and Arrow as `datasets` does, with limits on memory.

Both formats can store a value once and repeat it a million times. Repeated values are expanded for a few rows at a
time, and a file that expands to far more than its size is refused.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
from datasets.builder import Key
from datasets.packaged_modules.arrow.arrow import Arrow
from datasets.packaged_modules.parquet.parquet import Parquet
from datasets.utils.file_utils import xopen
from pyarrow import parquet

from hubtune.data import decompression
from hubtune.data.segments import READABLE, reason_of, unreadable
from hubtune.errors import DataError

MOST_AT_ONCE = 1 << 26
"""Bytes of rows that are written out at once."""
LONGEST_ROW = 1 << 28
"""Bytes of one row."""
MOST_CHECKED = 1 << 26
"""Bytes of a file on the Hub that is read as a whole, so that it can be compared with the commit's digest."""

Check = Callable[[str, BinaryIO], BinaryIO]
"""Returns the bytes of the file at a place, given what reads them, compared with the commit's digest at their end."""

# How a file of Arrow begins that is not a stream.
_FILE = b"ARROW1"
_ROWS = 1000
_VALUES = 1 << 22


class BoundedParquet(Parquet):  # type: ignore[misc]  # `datasets` has no types
    """Reads Parquet; `called` names each file in a message, `checked` compares its digest."""

    called: Mapping[str, str]
    checked: Check

    def _generate_tables(
        self, files: Sequence[str], row_groups_list: Sequence[Sequence[int] | None]
    ) -> Iterator[tuple[Key, pa.Table]]:
        for place, groups in zip(files, row_groups_list, strict=True):
            with _named(self.called[place]), _opened(place, self.checked) as file:
                bounded = _BoundedBatches(file, self.called[place])
                # Typed as they are in the file, though a dictionary holds them.
                plain = parquet.ParquetFile(file)
                texts = [
                    column.path
                    for column in map(plain.schema.column, range(len(plain.schema)))
                    if column.physical_type == "BYTE_ARRAY"
                ]
                reader = parquet.ParquetFile(file, metadata=plain.metadata, read_dictionary=texts)
                columns = self.config.columns
                _require(columns, plain.schema_arrow.names)
                schema = pa.schema([field for field in plain.schema_arrow if columns is None or field.name in columns])
                some = range(reader.num_row_groups) if groups is None else groups
                for group in some:
                    size = bounded.rows_at_once(reader.metadata.row_group(group))
                    for batch in reader.iter_batches(size, [group], columns):
                        for part in bounded.parts(batch):
                            table = pa.Table.from_batches([part]).select(schema.names).cast(schema)
                            table.validate(full=True)
                            yield Key(files.index(place), bounded.given), self._cast_table(table)


class BoundedArrow(Arrow):  # type: ignore[misc]  # as above
    """Reads Arrow; `called` names each file in a message, `checked` compares its digest."""

    called: Mapping[str, str]
    checked: Check

    def _generate_tables(self, files: Sequence[str]) -> Iterator[tuple[Key, pa.Table]]:
        for place in files:
            with _named(self.called[place]), _opened(place, self.checked) as file:
                bounded = _BoundedBatches(file, self.called[place])
                for batch in _batches(file):
                    batch.validate(full=True)
                    for part in bounded.parts(batch):
                        table = pa.Table.from_batches([part])
                        yield Key(files.index(place), bounded.given), self._cast_table(table)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Names the file in what Arrow raises over it; what a Hub's client raises is an OSError, and passes."""
    try:
        yield
    except OSError:
        raise
    except unreadable() as error:
        raise DataError(f"{name} cannot be read as a dataset: {reason_of(error)}", hint=READABLE) from error


@contextmanager
def _opened(place: str, checked: Check) -> Iterator[BinaryIO]:
    """Opens a file; one on the Hub that is small is compared with its digest, before anything of it is used."""
    with xopen(place, "rb") as raw:
        file = cast("BinaryIO", raw)
        size = file.seek(0, 2)
        file.seek(0)
        if place.startswith("hf://") and size <= MOST_CHECKED:
            yield io.BytesIO(checked(place, file).read())
        else:
            yield file


class _BoundedBatches:
    """Counts what a file holds, and takes its batches apart."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._size = file.seek(0, 2)
        file.seek(0)
        self._name = name
        self._held = 0
        self.given = 0

    def rows_at_once(self, group: "parquet.RowGroupMetaData") -> int:
        """Returns how many rows of a group to read at once, by its declared number of values."""
        values = max((int(group.column(number).num_values) for number in range(group.num_columns)), default=0)
        self._require(self._held + values)
        return max(1, min(_ROWS, _VALUES * int(group.num_rows) // max(1, values)))

    def parts(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yields the rows of a batch, few enough at a time to be expanded.

        Raises:
            DataError: There are far more than their file has bytes for, or one of them is too large.
        """
        size = sum(map(_written_out, batch.columns))
        if size <= MOST_AT_ONCE:
            self._held += size
            self._require(self._held)
            self.given += 1
            yield batch
        elif len(batch) > 1:
            half = len(batch) // 2
            yield from self.parts(batch.slice(0, half))
            yield from self.parts(batch.slice(half))
        elif size > LONGEST_ROW:
            raise DataError(
                f"{self._name} has a row of more than {LONGEST_ROW >> 20} MiB.",
                hint="Split the row, or leave it out of the file.",
            )
        else:
            self._held += size
            self._require(self._held)
            self.given += 1
            yield batch

    def _require(self, held: int) -> None:
        if held > max(decompression.FREE, decompression.MOST_TIMES * self._size):
            raise DataError(
                f"{self._name} unpacks to more than {decompression.MOST_TIMES} times its size, and to more than "
                f"{decompression.FREE >> 20:,} MiB.",
                hint="Text is packed to a third or a tenth of its size. If the data is in order, leave out the columns "
                "that repeat one value, or write the rows as JSON Lines, and name the file as `data[].path`.",
            )


def _batches(file: BinaryIO) -> Iterator[pa.RecordBatch]:
    start = file.read(len(_FILE))
    file.seek(0)
    if start == _FILE:
        reader = pa.ipc.open_file(file)
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(file)


def _written_out(array: pa.Array) -> int:
    """Returns the bytes of an array with every value written out that a dictionary repeats."""
    if isinstance(array, pa.ExtensionArray):
        return _written_out(array.storage)
    if isinstance(array, pa.DictionaryArray):
        values = array.dictionary
        text = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
        if text or pa.types.is_string(values.type) or pa.types.is_binary(values.type):
            lengths = pc.take(pc.cast(pc.binary_length(values), pa.int64()), array.indices)
            return int(array.indices.nbytes) + int(pc.sum(lengths).as_py() or 0)
        return len(array) * (int(values.nbytes) // max(1, len(values)) + 1)
    if isinstance(array, pa.StructArray):
        return sum(map(_written_out, array.flatten()))
    if isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return 8 * len(array) + _written_out(array.flatten())
    return int(array.nbytes)


def _require(columns: Sequence[str] | None, known: Sequence[str]) -> None:
    for column in columns or ():
        if column not in known:
            raise ValueError(f"there is no column {column!r}, which the card asks for")
