"""Encoded rows on disk, as one Arrow file, and examples that are read from it on demand.

The file is memory-mapped, so the operating system manages its pages. A process only holds the number of each row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from hubtune.data.tokenization import Example

Array = np.ndarray[Any, Any]

ROWS_FILE = "rows.arrow"
DIGEST_BYTES = 16
SKETCH_BYTES = 512
# Rows or bytes after which what was collected is written as one batch.
_BATCH_ROWS = 8192
_BATCH_BYTES = 64_000_000

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("held_out", pa.uint8()),
        ("length", pa.int32()),
        ("learned", pa.int32()),
        ("truncated", pa.uint8()),
        ("draw", pa.int64()),
        ("text_digest", pa.binary(DIGEST_BYTES)),
        ("own_digest", pa.binary(DIGEST_BYTES)),
        ("sketch", pa.binary(SKETCH_BYTES)),
        ("runs", pa.list_(pa.uint64())),
        ("text", pa.large_string()),
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("token_type_ids", pa.list_(pa.int8())),
    ]
)
"""The columns of a stored row.

`row` is its number in the source, from 1; the rows of a held-out split (`held_out`) are counted on after the others.
`draw` decides on which side of the split it falls, and `text_digest` says which rows have the same text. `own_digest`,
`sketch` and `runs` are its traces (`hubtune.data.screening.sketches`). The rest is its example.
"""
_TYPES = {
    **{"row": "i8", "held_out": "u1", "length": "i4", "learned": "i4", "truncated": "u1", "draw": "i8"},
    **{"text_digest": f"S{DIGEST_BYTES}", "own_digest": f"S{DIGEST_BYTES}", "sketch": f"V{SKETCH_BYTES}"},
    **{"runs": "u8", "input_ids": "i4", "labels": "i4"},
}


class Writer:
    """Writes rows, some at a time, into a new file; `close` makes it complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = pa.ipc.new_file(str(path), SCHEMA)
        self._waiting: list[pa.RecordBatch] = []
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        self.rows += len(batch)
        self._waiting.append(batch)
        few = sum(len(waiting) for waiting in self._waiting) < _BATCH_ROWS
        if few and sum(waiting.nbytes for waiting in self._waiting) < _BATCH_BYTES:
            return
        self._flush()

    def close(self) -> None:
        """Writes what is left, and the footer."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        waiting = [batch for batch in self._waiting if len(batch)]
        self._waiting = []
        if waiting:
            self._file.write_table(pa.Table.from_batches(waiting).combine_chunks())


class Store:
    """The stored rows of one dataset, known by their places, from 0.

    Args:
        path: The file that a `Writer` closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._blocks = [_Block(reader.get_batch(number)) for number in range(reader.num_record_batches)]
        self._ends = np.cumsum([len(block) for block in self._blocks], dtype=np.int64)

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        return Store, (self._path,)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str, places: Array | None = None) -> Array:
        """Returns a column of values of one size, of all rows or of those at `places`, which go up; shape (rows,)."""
        if places is None:
            parts = [block.values(name) for block in self._blocks]
            return np.concatenate(parts) if parts else np.empty(0, dtype=_TYPES[name])
        found = np.empty(len(places), dtype=_TYPES[name])
        borders = [0, *np.searchsorted(places, self._ends)]
        for number, block in enumerate(self._blocks):
            own = slice(borders[number], borders[number + 1])
            found[own] = block.values(name)[places[own] - (self._ends[number] - len(block))]
        return found

    def example(self, place: int) -> Example:
        """Returns the example of one row."""
        number = int(np.searchsorted(self._ends, place, side="right"))
        block = self._blocks[number]
        return block.example(place - int(self._ends[number]) + len(block))

    def sketches(self, places: Array) -> Array:
        """Returns the sketches of rows, shape (places, 128)."""
        found = np.empty((len(places), SKETCH_BYTES // 4), dtype=np.uint32)
        numbers = np.searchsorted(self._ends, places, side="right")
        for number in np.unique(numbers):
            block, chosen = self._blocks[number], numbers == number
            every = block.values("sketch").view(np.uint32).reshape(len(block), -1)
            found[chosen] = every[places[chosen] - (self._ends[number] - len(block))]
        return found

    def lists(self, name: str) -> Iterator[tuple[int, Array, Array]]:
        """Gives a column of lists, some rows at a time: the first place, where each row's list begins, and the items.

        Where lists begin has one entry more than there are rows, the last list's end.
        """
        start = 0
        for block in self._blocks:
            yield start, *block.lists(name)
            start += len(block)

    def texts(self, stays: Array) -> Iterator[str]:
        """Gives the texts of the rows for which `stays` is true, in order."""
        start = 0
        for block in self._blocks:
            for place in np.flatnonzero(stays[start : start + len(block)]):
                yield block.text(int(place))
            start += len(block)


class _Block:
    """One batch of the file."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def values(self, name: str) -> Array:
        column = self._batch.column(name)
        return np.frombuffer(column.buffers()[1], dtype=_TYPES[name], count=len(self), offset=0)

    def lists(self, name: str) -> tuple[Array, Array]:
        _, offsets, _, items = self._batch.column(name).buffers()
        starts = np.frombuffer(offsets, dtype=np.int32, count=len(self) + 1)
        return starts, np.frombuffer(items or b"", dtype=_TYPES[name], count=int(starts[-1]))

    @cached_property
    def _ids(self) -> tuple[Array, Array]:
        return self.lists("input_ids")

    @cached_property
    def _labels(self) -> tuple[Array, Array]:
        return self.lists("labels")

    def text(self, place: int) -> str:
        return str(self._batch.column("text")[place].as_py())

    def example(self, place: int) -> Example:
        types = self._batch.column("token_type_ids")
        return Example(
            text=self.text(place),
            input_ids=_item(self._ids, place),
            labels=_item(self._labels, place),
            truncated=bool(self.values("truncated")[place]),
            token_type_ids=None if types.null_count == len(self) else types[place].as_py(),
        )


def _item(column: tuple[Array, Array], place: int) -> list[int]:
    starts, items = column
    found: list[int] = items[starts[place] : starts[place + 1]].tolist()
    return found


@dataclass(frozen=True, eq=False)
class Examples(Sequence[Example]):
    """Examples in an order of their own, read from disk one at a time; what is counted of all of them costs no reading.

    Attributes:
        stores: Where the rows lie.
        places: The rows: places in the first store, then those of the next counted on, shape (rows,).
    """

    stores: Sequence[Store]
    places: Array

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Examples": ...
    def __getitem__(self, index: int | slice) -> "Example | Examples":
        if isinstance(index, slice):
            return Examples(self.stores, self.places[index])
        place = int(self.places[index])
        for store in self.stores:
            if place < len(store):
                return store.example(place)
            place -= len(store)
        raise IndexError(index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Examples):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def at(self, numbers: Array) -> "Examples":
        """Returns the examples with these numbers, in their order; a number may come again."""
        return Examples(self.stores, self.places[numbers])

    def followed_by(self, others: "Examples") -> "Examples":
        """Returns these examples and then the others, without reading any."""
        before = sum(len(store) for store in self.stores)
        return Examples([*self.stores, *others.stores], np.concatenate([self.places, others.places + before]))

    @property
    def text_digests(self) -> Array:
        """What rows of the same text have in common, shape (rows,), 16 bytes each."""
        return np.concatenate([store.column("text_digest") for store in self.stores])[self.places]

    @property
    def lengths(self) -> Array:
        """Tokens of each row, shape (rows,), int64."""
        return self._gathered("length")

    @property
    def learned(self) -> Array:
        """Target tokens of each row, shape (rows,), int64."""
        return self._gathered("learned")

    @property
    def truncated(self) -> Array:
        """1 for each row that was cut, and 0 for the others, shape (rows,), int64."""
        return self._gathered("truncated")

    def label_counts(self, labels: int) -> Array:
        """Returns how often each of `labels` ids is in the rows' labels, shape (labels,)."""
        times = np.bincount(self.places, minlength=sum(len(store) for store in self.stores))
        counts = np.zeros(labels, dtype=np.int64)
        before = 0
        for store in self.stores:
            for start, starts, items in store.lists("labels"):
                own = times[before + start : before + start + len(starts) - 1]
                counts += np.bincount(items, np.repeat(own, np.diff(starts)), minlength=labels).astype(np.int64)
            before += len(store)
        return counts

    def _gathered(self, name: str) -> Array:
        column: Array = np.concatenate([store.column(name) for store in self.stores])
        return column[self.places].astype(np.int64)
