"""One dataset, from its rows to examples: every row either becomes an example or is counted with its drop reason."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from hubtune.config.data import DataConfig, ScreenConfig
from hubtune.data import cache
from hubtune.data.csv_rows import described
from hubtune.data.data_files import DataFiles, PinnedData, local_files, resolve_files
from hubtune.data.dataset_repo import file_contents, hub_contents, snapshot_contents
from hubtune.data.formats.chat import ChatWriter
from hubtune.data.formats.row_format import LabelSet, RowFormat, choose_format, find_labels
from hubtune.data.row_batches import WORTHWHILE, Batch, EncodingSettings, RowEncoder, encode_all, worker_count
from hubtune.data.rows import Rows, read_rows
from hubtune.data.screening.screen import Count, RowScreen
from hubtune.data.segments import DropReason, DropTally, UnreadableRow, WritingNotes
from hubtune.data.store import ROWS_FILE, Array, Examples, Store, Writer
from hubtune.data.streams import stream_rows
from hubtune.errors import DataError, EmptySplitError, ScreeningError, TooManyDroppedError
from hubtune.records.base import Progress, require_room, sha256_file
from hubtune.records.data import EncodedRecord, LeftOutRecord, ScreenedRecord

# Columns that stand beside conversations and belong to what is said in them.
_BESIDE = frozenset(
    {
        *("image", "images", "video", "videos", "audio", "audios", "files", "documents", "functions"),
        *("system", "system_prompt", "chat_template_kwargs", "reasoning_content"),
    }
)


@dataclass
class Source:
    """What one dataset gave.

    Attributes:
        rows: Rows read. It equals the kept rows and those in the tally.
        files: The sha256 of each file that was read, by its path in the dataset.
        store: The rows that could be used.
        stays: Which of them are still used, shape (stored rows,).
        labels: The classes, if the rows are to be classified.
        chat_template: The template that wrote the rows, if one did.
        prompt: An example of what to ask the tuned model.
        separator: What separates the cells of CSV files; None for others.
        screen: What was found in its rows.
    """

    name: str
    format: RowFormat
    rows: int
    files: dict[str, str]
    store: Store
    stays: Array
    screen: RowScreen
    tally: DropTally
    labels: LabelSet | None
    chat_template: str | None
    prompt: str | None
    separator: str | None
    warnings: list[str]

    @property
    def kept(self) -> Examples:
        """The examples of the rows that are still used."""
        return Examples((self.store,), np.flatnonzero(self.stays))

    @property
    def numbers(self) -> Array:
        """The numbers of the kept rows in the source, from 1; those of a held-out split are counted on."""
        return self.store.column("row")[self.stays]

    @property
    def fingerprint(self) -> str:
        """The sha256 over the kept rows' texts in order, each with its length in bytes before it."""
        digest = hashlib.sha256()
        for text in self.store.texts(self.stays):
            content = text.encode()
            digest.update(b"%d:" % len(content))
            digest.update(content)
        return digest.hexdigest()

    def leave_out(self, places: Array, reason: DropReason) -> None:
        """Takes rows out that repeat others, by their places in the store."""
        if len(places):
            self.stays[places] = False
            self.tally.add_several(reason, len(places), int(self.store.column("row")[places].min()))

    def require_usable(self, most: float) -> None:
        """Refuses a dataset of whose rows too many cannot be used.

        Raises:
            EmptySplitError: None can.
            TooManyDroppedError: More than the share `most` cannot.
        """
        if not self.stays.any():
            raise EmptySplitError(
                f"No row of {self.name} can be used.",
                details=self.tally.lines(),
                hint="Correct the data, or the config where it names the wrong columns.",
            )
        if self.tally.unusable > most * self.rows:
            share = self.tally.unusable / self.rows
            raise TooManyDroppedError(
                f"{self.tally.unusable:,} of {self.rows:,} rows of {self.name} cannot be used ({share:.1%}); "
                f"the run allows {most:.1%}.",
                details=self.tally.lines(),
                hint="Correct them, or let such rows be left out with a larger `rows.max_dropped`, such as "
                f"{min(1, round(share + 0.01, 2))}.",
            )


def read_source(
    data: PinnedData,
    settings: EncodingSettings,
    *,
    workers: int | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Source:
    """Reads, writes and encodes one dataset, or finds it in the cache, encoded before.

    Args:
        data: The dataset, and where it lies.
        settings: What decides, besides it, what becomes of its rows.
        workers: In how many processes.
        progress: Reports the rows.

    Raises:
        DataError: It cannot be used; the subclass and the message say why.
        ScreeningError: It holds what the config refuses; then its rows are not kept in the cache.
        ConfigError: Its rows are conversations, and there is no chat template.
    """
    entry, name, pin = data.entry, data.name, data.pin
    key = cache.key_of(data, settings)
    found = cache.find(key)
    if found is not None:
        if progress is not None:
            progress.say(f"{name}: its {found[0].rows:,} rows are already encoded and are read from the cache")
        return _source(name, settings.screen, *found)
    splits = [(entry.split, False), *([(entry.held_out_split, True)] if entry.held_out_split else [])]
    files = _files(data)
    if entry.streaming and pin is not None:
        parts = [(stream_rows(pin, files, split), held_out) for split, held_out in splits]
    else:
        parts = [(read_rows(files, split), held_out) for split, held_out in splits]
    chosen = _chosen_format(entry, parts[0][0], name)
    for rows, _ in parts:
        _check_columns(rows, chosen, entry, name)
    separator = parts[0][0].separator
    if progress is not None and separator not in (None, ",", entry.separator):
        progress.say(
            f"{name}: its cells are separated by {described(separator)}; set `data[].separator` to change this"
        )
    chat = chosen.kind == "chat"
    encoder = RowEncoder(
        name=name,
        format=chosen,
        writer=ChatWriter.make(settings.tokenizer, entry.chat_template, chosen.loss_on, name) if chat else None,
        labels=_label_set(entry, chosen, [rows for rows, _ in parts], name),
        group_by=entry.group_by,
        settings=settings,
    )
    job = _Encoding(name, encoder, files.digests([split for split, _ in splits]), parts, workers, progress)
    return _source(name, settings.screen, *cache.make(key, job.write))


def _chosen_format(entry: DataConfig, rows: Rows, name: str) -> RowFormat:
    try:
        return choose_format(entry, rows.columns, name)
    except DataError as error:
        if rows.separator is None or entry.separator is not None or len(rows.columns) != 1:
            raise
        # Nothing of the header was recognized as a separator, so that all of it is one name.
        likely = next((sign for sign in rows.columns[0] if not sign.isalnum() and sign not in " _-."), None)
        if likely is None:
            raise
        hint = f"If {likely!r} separates its cells, write it into this part of the config as `separator`."
        raise type(error)(error.message, hint=hint, details=error.details) from None


def _files(data: PinnedData) -> DataFiles:
    entry, place, name, pin = data.entry, data.place, data.name, data.pin
    if entry.path is not None:
        files = local_files(place, file_contents(place, name))
    elif entry.streaming and pin is not None:
        files = resolve_files(hub_contents(pin, name), entry.name)
    else:
        files = resolve_files(snapshot_contents(place, name), entry.name)
    return replace(files, separator=entry.separator, encoding=entry.encoding)


@dataclass(frozen=True)
class _Encoding:
    """The encoding of one dataset."""

    name: str
    encoder: RowEncoder
    files: dict[str, str]
    parts: Sequence[tuple[Rows, bool]]
    workers: int | Literal["auto"]
    progress: Progress | None

    def write(self, folder: Path) -> EncodedRecord:
        """Writes the rows into a folder and returns what is known of them."""
        screen, tally, notes = RowScreen.make(self.encoder.settings.screen), DropTally(), WritingNotes()
        totals = [rows.total for rows, _ in self.parts]
        total = None if None in totals else sum(known for known in totals if known is not None)
        writer = Writer(folder / ROWS_FILE)
        lines = 0
        with _task(self.progress, f"Reading {self.name}", total) as advance:
            # If nobody knows how many rows there are, it shows whether they are worth other processes.
            alone = WORTHWHILE if total is None and self.workers == "auto" else 0
            for some in encode_all(self.encoder, self._batches(), worker_count(self.workers, total), alone):
                if lines == 0 and total is not None:
                    require_room(folder, some.rows.nbytes * total // max(1, some.lines), "move the cache with HF_HOME")
                lines += some.lines
                writer.write(some.rows)
                tally.merge(some.tally)
                screen.add(some.screen)
                notes.add(some.notes)
                advance(some.lines)
        writer.close()
        if lines == 0:
            raise EmptySplitError(f"{self.name} has no rows.", hint="Choose another part with `data[].split`.")
        _require_allowed(screen, self.name, self.progress)
        chosen, labels, path = self.encoder.format, self.encoder.labels, folder / ROWS_FILE
        return EncodedRecord(
            rows=lines,
            kept=writer.rows,
            files=self.files,
            format=chosen.kind,
            columns=dict(chosen.columns),
            template=chosen.template,
            loss_on=chosen.loss_on,
            inferred=chosen.inferred,
            labels=None if labels is None else list(labels.names),
            several_labels=labels is not None and labels.several,
            chat_template=None if self.encoder.writer is None else self.encoder.writer.template.text,
            prompt=notes.prompt,
            separator=self.parts[0][0].separator,
            warnings=[*_unread(self.parts[0][0], chosen, self.name), *notes.warnings(self.name)],
            left_out=[
                LeftOutRecord(reason=reason.name, count=count, first=tally.first[reason], detail=tally.details[reason])
                for reason, count in tally.counts.items()
            ],
            screened_rows=screen.rows,
            screened=[ScreenedRecord(kind=kind, **vars(count)) for kind, count in screen.counts.items()],
            size=path.stat().st_size,
            sha256=sha256_file(path),
        )

    def _batches(self) -> Iterator[Batch]:
        first = 1
        for rows, held_out in self.parts:
            for lines in rows.batches(self.encoder.wanted):
                yield Batch(lines, first, held_out)
                first += len(lines)


def _source(name: str, screen: ScreenConfig, record: EncodedRecord, store: Store) -> Source:
    tally = DropTally()
    for left_out in record.left_out:
        tally.add_several(DropReason[left_out.reason], left_out.count, left_out.first, left_out.detail)
    screened = RowScreen.make(screen)
    screened.rows = record.screened_rows
    for found in record.screened:
        screened.counts[found.kind] = Count(**found.model_dump(exclude={"kind"}))
    return Source(
        name=name,
        format=RowFormat(record.format, record.columns, record.template, record.loss_on, record.inferred),
        rows=record.rows,
        files=dict(record.files),
        store=store,
        stays=np.ones(len(store), dtype=bool),
        screen=screened,
        tally=tally,
        labels=None if record.labels is None else LabelSet(tuple(record.labels), record.several_labels),
        chat_template=record.chat_template,
        prompt=record.prompt,
        separator=record.separator,
        warnings=list(record.warnings),
    )


def _unread(rows: Rows, chosen: RowFormat, name: str) -> list[str]:
    """Returns a warning of columns beside conversations that mean something, and that no chat template is given."""
    found = [f"`{column}`" for column in rows.columns if column in _BESIDE and column not in chosen.wanted]
    if chosen.kind != "chat" or not found:
        return []
    return [f"{name}: not read, since no chat template is given them: the columns {', '.join(found)}"]


def _label_set(entry: DataConfig, chosen: RowFormat, parts: Sequence[Rows], name: str) -> LabelSet | None:
    """Returns the classes of rows to classify; None for other rows."""
    if chosen.kind != "classification":
        return None
    column = chosen.columns["label"]
    # Goes through all rows: even if the names are known, only they tell whether a row has several labels.
    found = find_labels(
        (
            line[column]
            for rows in parts
            for batch in rows.batches([column])
            for line in batch
            if not isinstance(line, UnreadableRow) and line[column] is not None
        ),
        of_text=parts[0].separator is not None,
    )
    names = tuple(entry.labels or parts[0].class_names.get(column, ())) or found.names
    if len(names) < 2:
        raise DataError(
            f"The column {column!r} of {name} holds {len(names)} label{'' if len(names) == 1 else 's'}; "
            "to classify takes two.",
            hint="Name the column of the labels: columns: {label: COLUMN}.",
        )
    return LabelSet(names, found.several)


def _check_columns(rows: Rows, chosen: RowFormat, entry: DataConfig, name: str) -> None:
    nestable = {chosen.columns.get(part) for part in ("messages", "tools", "label")}
    for column in [*chosen.wanted, *([entry.group_by] if entry.group_by else [])]:
        if column not in rows.columns:
            raise DataError(
                f"The held-out split of {name} has no column {column!r}; its columns are: {', '.join(rows.columns)}.",
                hint="Both splits need the same columns.",
            )
        if column in rows.nested and column not in nestable:
            raise DataError(
                f"The column {column!r} of {name} holds {rows.nested[column]}, which cannot be written as text.",
                hint="Use columns of text or numbers.",
            )


def _require_allowed(screen: RowScreen, name: str, progress: Progress | None) -> None:
    try:
        screen.require_allowed(name)
    except ScreeningError:
        # The rest of what was found would never be said.
        if progress is not None:
            screen.say(name, progress)
        raise


@contextlib.contextmanager
def _task(progress: Progress | None, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    if progress is None:
        yield lambda _: None
        return
    with progress.task(label, total or 0) as task:
        yield task.advance
