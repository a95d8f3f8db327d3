"""From the rows of a dataset to stored rows: screens, formats, encodes and sketches them, in batches.

Each batch is encoded independently, in this process or in one of several, so the result is the same for any number of
workers. The counts of all batches are added up afterwards.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from hubtune.config.data import ScreenConfig
from hubtune.data import segments
from hubtune.data.formats.chat import ChatWriter
from hubtune.data.formats.conversations import Conversation, read_conversation
from hubtune.data.formats.row_format import LabelSet, RowFormat, classify, write_text
from hubtune.data.screening.screen import RowScreen, ScreenedRow, own_text
from hubtune.data.screening.sketches import Trace, trace
from hubtune.data.split import draw, fold, text_digest
from hubtune.data.store import SCHEMA, SKETCH_BYTES
from hubtune.data.tokenization import Encoder, Example
from hubtune.errors import DataError, advise
from hubtune.templating.process import LimitError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Parsed = segments.WrittenRow | segments.Classified | segments.DroppedRowError
WORTHWHILE = 20_000
"""Rows from which it pays to start processes, which takes each of them some seconds."""
_MOST = 8


@dataclass(frozen=True)
class EncodingSettings:
    """The settings besides the dataset's own section of the config that influence its encoded rows.

    Attributes:
        tokenizer: The base model's.
        max_length: The most tokens of a row.
        screen: What to do with rows that hold personal data or secrets.
        seed: Of the split.
    """

    tokenizer: "PreTrainedTokenizerBase"
    max_length: int
    screen: ScreenConfig
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Some lines of a dataset.

    Attributes:
        first: The number of the first, from 1.
        held_out: Whether they are of a split that is held out.
    """

    lines: Sequence[segments.RawRow]
    first: int
    held_out: bool


@dataclass(frozen=True)
class Encoded:
    """The result for some lines: each is a stored row or is counted in the tally."""

    lines: int
    rows: pa.RecordBatch
    tally: segments.DropTally
    screen: RowScreen
    notes: segments.WritingNotes


@dataclass(frozen=True)
class _Kept:
    example: Example
    number: int
    group: str | None
    own: str


@dataclass(frozen=True)
class RowEncoder:
    """Everything that is needed to encode the lines of one dataset.

    Attributes:
        name: What to call the dataset.
        writer: Writes conversations, if the rows hold such.
        labels: The classes, if the rows are to be classified.
        group_by: The column whose values decide on which side of the split a row falls; None if its text does.
        settings: What decides beside those.
    """

    name: str
    format: RowFormat
    writer: ChatWriter | None
    labels: LabelSet | None
    group_by: str | None
    settings: EncodingSettings

    @property
    def wanted(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys([*self.format.wanted, *([self.group_by] if self.group_by else [])]))

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(
            self.settings.tokenizer,
            self.settings.max_length,
            None if self.writer is None else self.writer.template.text,
        )

    def encode(self, batch: Batch) -> Encoded:
        """Encodes some lines.

        Raises:
            DataError: A row exceeds a limit of rendering, which would leave out other rows on a slower machine; or it
                has tools, for which the tokenizer has a template that is not the one that writes rows.
        """
        screen, tally, notes = RowScreen.make(self.settings.screen), segments.DropTally(), segments.WritingNotes()
        screened = [screen.screen(line, self.format.content) for line in batch.lines]
        examples = self._examples(self._parsed(screened, batch.first, notes))
        kept: list[_Kept] = []
        for number, (line, row, example) in enumerate(zip(batch.lines, screened, examples, strict=True), batch.first):
            counted = example if isinstance(example, segments.DroppedRowError) else screen.count(example, row, number)
            if isinstance(counted, segments.DroppedRowError):
                tally.add(counted, number)
                continue
            own = own_text(row.line, self.format.content)
            kept.append(_Kept(counted, number, _group(line, self.group_by), own))
        return Encoded(len(batch.lines), self._stored(kept, held_out=batch.held_out), tally, screen, notes)

    def _parsed(self, screened: Sequence[ScreenedRow], first: int, notes: segments.WritingNotes) -> list[Parsed]:
        rows = self._written([self._read(row) for row in screened], first)
        for row, seen in zip(rows, screened, strict=True):
            if isinstance(row, segments.WrittenRow):
                # The record and the card show the prompt.
                notes.add_row(row, showable=not seen.hits)
        return rows

    def _read(self, screened: ScreenedRow) -> Parsed | Conversation:
        if isinstance(screened.line, segments.UnreadableRow):
            return segments.DroppedRowError(screened.line.reason, screened.line.detail)
        try:
            if self.writer is not None:
                return read_conversation(screened.line, self.format.columns)
            if self.labels is not None:
                return classify(screened.line, self.format, self.labels)
            return write_text(screened.line, self.format)
        except segments.DroppedRowError as fault:
            return fault

    def _written(self, rows: Sequence[Parsed | Conversation], first: int) -> list[Parsed]:
        """Returns the rows with all conversations written."""
        places = [place for place, row in enumerate(rows) if isinstance(row, Conversation)]
        if self.writer is None or not places:
            return [row for row in rows if not isinstance(row, Conversation)]
        if self.writer.template.beside_tool_use:
            self._refuse_tools(rows, first)
        try:
            written = iter(self.writer.write_all([row for row in rows if isinstance(row, Conversation)]))
        except LimitError as error:
            if error.kind == "pace":
                raise DataError(
                    f"The rows of {self.name} cannot be written: the chat template takes more than "
                    f"{error.limits.pace:g} s of processor time for most of them.",
                    hint="Give another with data[].chat_template, or choose another base model.",
                ) from error
            raise DataError(
                f"Row {first + places[error.place]:,} of {self.name} cannot be written: the chat template "
                f"{error.words} for it.",
                hint="Give another with data[].chat_template, or shorten the row or take it out of the data.",
            ) from error
        return [next(written) if isinstance(row, Conversation) else row for row in rows]

    def _refuse_tools(self, rows: Sequence[Parsed | Conversation], first: int) -> None:
        for number, row in enumerate(rows, first):
            if isinstance(row, Conversation) and row.tools:
                raise DataError(
                    f"Row {number:,} of {self.name} has tools, and the base model's tokenizer has a chat template of "
                    "its own for such conversations, tool_use, which is not used beside its default one.",
                    hint="Put the template that is to write all rows into a file, and name it: "
                    "data[].chat_template: {file: chat.jinja}; or take the tools out of the data.",
                )

    def _examples(self, rows: Sequence[Parsed]) -> Iterator[Example | segments.DroppedRowError]:
        written = iter(self._encoder.encode([row for row in rows if isinstance(row, segments.WrittenRow)]))
        classified = iter(self._encoder.classify([row for row in rows if isinstance(row, segments.Classified)]))
        for row in rows:
            if isinstance(row, segments.DroppedRowError):
                yield row
            else:
                yield next(written) if isinstance(row, segments.WrittenRow) else next(classified)

    def _stored(self, kept: Sequence[_Kept], *, held_out: bool) -> pa.RecordBatch:
        examples = [row.example for row in kept]
        # If no template writes a row, its text and its own words are the same.
        texts = {text: fold(text) for row in kept for text in (row.example.text, row.own)}
        folded = [texts[example.text] for example in examples]
        found = trace([texts[row.own] for row in kept])
        columns = {
            "row": [row.number for row in kept],
            "held_out": [int(held_out)] * len(kept),
            "length": [len(example.input_ids) for example in examples],
            "learned": [example.learned for example in examples],
            "truncated": [int(example.truncated) for example in examples],
            "draw": [draw(key, self.settings.seed) for key in _keys(kept, folded)],
            "text_digest": [text_digest(text) for text in folded],
            "own_digest": found.digest,
            "sketch": _sketches(found),
            "runs": found.runs,
            "text": [example.text for example in examples],
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
            "token_type_ids": [example.token_type_ids for example in examples],
        }
        return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def _keys(kept: Sequence[_Kept], folded: Sequence[str]) -> list[str]:
    return [text if row.group is None else fold(row.group) for row, text in zip(kept, folded, strict=True)]


def _sketches(found: Trace) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(SKETCH_BYTES), len(found.sketch), [None, pa.py_buffer(found.sketch)])


def _group(line: segments.RawRow, column: str | None) -> str | None:
    """Returns the row's group; a row without one falls by its text."""
    value = None if isinstance(line, segments.UnreadableRow) or column is None else line[column]
    return str(value) if value is not None and str(value).strip() else None


_own: RowEncoder | None = None


def worker_count(wanted: int | Literal["auto"], rows: int | None) -> int:
    """Returns the number of processes to encode rows in; 1 means only this process.

    Args:
        wanted: What the config says, of which no more than the cores that this process may use are taken; `auto` takes
            one for each of those, at most 8.
        rows: How many rows there are; None if nobody knows.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if wanted != "auto":
        return min(wanted, cores)
    if rows is not None and rows < WORTHWHILE:
        return 1
    return min(cores, _MOST)


def encode_all(encoder: RowEncoder, batches: Iterable[Batch], workers: int, rows_before: int = 0) -> Iterator[Encoded]:
    """Yields the result of each batch, in order; it is the same for any number of workers.

    Args:
        encoder: What encodes them.
        batches: What is to be encoded; few are taken before they are needed.
        workers: Processes; with 1, this one.
        rows_before: Rows that this process encodes before it starts others.

    Raises:
        DataError: A worker ended before its work was done.
    """
    batches, done = iter(batches), 0
    while workers == 1 or done < rows_before:
        alone = next(batches, None)
        if alone is None:
            return
        yield encoder.encode(alone)
        done += len(alone.lines)
    yield from _encode_in_pool(encoder, batches, workers)


def _encode_in_pool(encoder: RowEncoder, batches: Iterator[Batch], workers: int) -> Iterator[Encoded]:
    # Not forked: the threads of the tokenizer, of torch and of Arrow would not be there in the copy, and their locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(encoder,))
    waiting: deque[Future[Encoded]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(_encode, batch))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "A process that encodes rows ended before its work was done; the system may have ended it for lack of "
            "memory.",
            hint=advise(
                "-s",
                "Use fewer: -s rows.workers=1 needs the least memory.",
                "Use fewer: `rows.workers: 1` in the config needs the least memory.",
            ),
        ) from error
    finally:
        # On any way out, an interrupt too: what runs is not waited for.
        processes = list((pool._processes or {}).values()) if waiting else []
        pool.shutdown(wait=not waiting, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(encoder: RowEncoder) -> None:
    global _own
    # The first process gets an interrupt, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own = encoder


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encode(batch: Batch) -> Encoded:
    assert _own is not None, "the pool began this process"
    return _own.encode(batch)
