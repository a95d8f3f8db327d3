"""Reads the rows of a dataset from the Hub one by one, at the pinned commit, without downloading its files.

It is for data that does not fit on the disk. If only a part of a split is used, reading ends at the last row of the
part. A file that is read to its end is compared with the commit's digests.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from hubtune.data.data_files import DataFiles
from hubtune.data.readers import read_files
from hubtune.data.rows import Rows, builder_of, by_weight, described, joined
from hubtune.data.segments import RawRow, reason_of, unreadable
from hubtune.errors import DataError, SplitNotFoundError
from hubtune.hub.translate import hub_errors, mask
from hubtune.records.base import Pin

if TYPE_CHECKING:
    from datasets import IterableDataset

# Names by which `datasets` knows how to open a file, without a look at it.
_KNOWN = (
    *(".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".arrow"),
    *(".gz", ".bz2", ".xz", ".lz4", ".zst"),
)
# Rows that are made of a table at once: each may be as long as a row can be.
_AT_ONCE = 16
_PART = re.compile(r"(?P<name>\w[\w.-]*)(?:\[(?P<start>\d*):(?P<end>\d*)\])?")


def stream_rows(pin: Pin, files: DataFiles, split: str) -> Rows:
    """Reads a split of a dataset.

    Nothing is asked of the Hub but at the pin's commit. Rows come when they are gone through; how many there are is
    known if the dataset's card or the config tells.

    Args:
        pin: The dataset at a commit.
        files: Its files on the Hub.
        split: A split, or a part of one that is counted from its begin.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
        SplitNotFoundError: There is no such split, or only its end would tell where the part begins.
        DataError: The files cannot be read.
    """
    parts = [_SplitSlice.parse(files, part.strip()) for part in split.split("+")]
    with _errors(pin, files.source):
        _refuse_disguised(files)
        own = {part.name: read_files(files, part.name, count=False) for part in parts}
    chosen = [rows.part(part.start, part.end) for part in parts if (rows := own[part.name]) is not None]
    if chosen:
        whole = joined(files, chosen)
        return replace(whole, total=_total(parts), _read=partial(_guarded, whole.batches, pin, files.source))
    return _typed(pin, files, parts)


def _guarded(
    read: Callable[[Sequence[str]], Iterator[list[RawRow]]], pin: Pin, source: str, wanted: Sequence[str]
) -> Iterator[list[RawRow]]:
    with _errors(pin, source):
        yield from read(wanted)


def _typed(pin: Pin, files: DataFiles, parts: "Sequence[_SplitSlice]") -> Rows:
    """Returns rows as `datasets` reads them: those of files that say what their values are."""
    import datasets

    datasets.disable_progress_bars()
    source = files.source
    with _errors(pin, source):
        found = builder_of(files).as_streaming_dataset()
        # A cell that names a picture or a sound is not opened, wherever it is.
        streams = {str(name): stream.decode(False) if stream.features else stream for name, stream in found.items()}
    chosen = [part.of(streams[part.name]) for part in parts]
    with _errors(pin, source):
        head = list(chosen[0].take(1))
        features = chosen[0].features or datasets.Dataset.from_list(head).features
    total = _total(parts) if head else 0
    return described(features, total, partial(_batches, chosen, pin, source), source)


def _total(parts: "Sequence[_SplitSlice]") -> int | None:
    totals = [part.total for part in parts]
    return None if None in totals else sum(known for known in totals if known is not None)


def _refuse_disguised(files: DataFiles) -> None:
    """Refuses archives under other names: of a name that tells nothing, `datasets` looks at the first bytes."""
    from datasets.utils.file_utils import xopen

    for place in (place for split in files.splits for place in files.places(split)):
        if place.endswith(_KNOWN):
            continue
        with xopen(place, "rb") as file:
            if file.read(4).startswith((b"PK", b"Rar!")):
                name = place.rpartition("/")[2]
                raise DataError(
                    f"{name} of {files.source} is an archive under another name, which is not opened.",
                    hint="Unpack it, and use the JSON Lines, CSV, Parquet or Arrow files in it.",
                )


@dataclass(frozen=True)
class _SplitSlice:
    """A part of a split, and how many rows it has at most, if that is known."""

    name: str
    start: int
    end: int | None
    total: int | None

    @classmethod
    def parse(cls, files: DataFiles, part: str) -> "_SplitSlice":
        source = files.source
        found = _PART.fullmatch(part)
        if found is None:
            raise SplitNotFoundError(
                f"{part!r} of {source} cannot be streamed: where it lies shows at the end of the data alone.",
                hint="Count from 0, such as train[:100000], or leave `streaming` out.",
            )
        name = found["name"]
        if name not in files.splits:
            raise SplitNotFoundError(
                f"{source} has no split {name!r}; it has: {', '.join(sorted(files.splits))}.",
                hint="Choose one of these with `data[].split`.",
            )
        start, end = int(found["start"] or 0), int(found["end"]) if found["end"] else None
        ends = [known for known in (end, files.rows.get(name)) if known]
        return cls(name, start, end, max(0, min(ends) - start) if ends else None)

    def of(self, stream: "IterableDataset") -> "IterableDataset":
        stream = stream.skip(self.start) if self.start else stream
        return stream if self.end is None else stream.take(max(0, self.end - self.start))


def _batches(
    streams: "Sequence[IterableDataset]", pin: Pin, source: str, wanted: Sequence[str]
) -> Iterator[list[RawRow]]:
    with _errors(pin, source):
        rows = chain.from_iterable(map(_rows, streams))
        yield from by_weight({column: row.get(column) for column in wanted} for row in rows)


def _rows(stream: "IterableDataset") -> Iterator[Mapping[str, object]]:
    for batch in stream.iter(_AT_ONCE):
        yield from (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))


@contextmanager
def _errors(pin: Pin, source: str) -> Iterator[None]:
    """Turns what `datasets` raises while it reads from the Hub into errors that say what to do."""
    from datasets.exceptions import DatasetGenerationError

    try:
        with hub_errors(pin.repo, pin.commit):
            yield
    except (*unreadable(), DatasetGenerationError) as error:
        raise DataError(
            f"{source} cannot be streamed: {mask(reason_of(error))}",
            hint="JSON Lines, CSV, Parquet and Arrow can, whole and of one form.",
        ) from error
