"""One data set, from its rows to examples: every row becomes an example or is counted with the reason why not."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.data import DataConfig
from hubtune.config.screening import ScreenConfig
from hubtune.data.faults import Reason, RowFaultError, Tally
from hubtune.data.formats.chat import ChatWriter
from hubtune.data.formats.choice import RowFormat, choose_format
from hubtune.data.formats.classes import LabelSet, classify, find_labels
from hubtune.data.formats.conversations import read_conversation
from hubtune.data.formats.texts import write_text
from hubtune.data.json_lines import Line
from hubtune.data.pieces import Classified, Written
from hubtune.data.rows import Rows, read_rows
from hubtune.data.screening.rows import Looked, RowScreen, own_text
from hubtune.data.tokens import Encoder, Example
from hubtune.errors import DataError, EmptySplitError, TooManyDroppedError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Parsed = Written | Classified | RowFaultError


@dataclass(frozen=True)
class Kept:
    """A row that is used.

    Attributes:
        row: Its number, from 1; the rows of a held-out split are counted on after the others.
        group: The value that decides on which side the row falls, where rows are held out by groups.
        held_out: Whether it comes from a split that is held out.
        own: The words of the row alone, without those that a template gives to every row.
    """

    example: Example
    row: int
    group: str | None
    held_out: bool
    own: str


@dataclass
class Source:
    """What one data set gave.

    Attributes:
        rows: Rows read. It equals the kept rows and those in the tally.
        labels: The classes, where the rows are to be classified.
        chat_template: The template that wrote the rows, where one did.
        prompt: An example of what to ask the tuned model.
        screen: What was found in its rows.
    """

    name: str
    format: RowFormat
    rows: int
    screen: RowScreen
    kept: list[Kept] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    labels: LabelSet | None = None
    chat_template: str | None = None
    prompt: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """The sha256 over the kept rows' texts in order, each with its length in bytes before it."""
        digest = hashlib.sha256()
        for kept in self.kept:
            content = kept.example.text.encode()
            digest.update(b"%d:" % len(content))
            digest.update(content)
        return digest.hexdigest()

    def leave_out(self, copies: Sequence[Kept], reason: Reason) -> None:
        """Takes rows out that repeat others."""
        if not copies:
            return
        rows = {copy.row for copy in copies}
        self.kept = [kept for kept in self.kept if kept.row not in rows]
        for row in sorted(rows):
            self.tally.add(RowFaultError(reason), row)

    def require_usable(self, most: float) -> None:
        """Refuses a data set of whose rows too many cannot be used.

        Raises:
            EmptySplitError: None can.
            TooManyDroppedError: More than the share `most` cannot.
        """
        if not self.kept:
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
    entry: DataConfig,
    place: Path,
    name: str,
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    screen: ScreenConfig,
) -> Source:
    """Reads, writes and encodes one data set.

    Args:
        entry: Its part of the config.
        place: Its snapshot's folder, or the local file.
        name: What to call it.
        tokenizer: The base model's.
        max_length: The most tokens of a row.
        screen: What to do with rows that hold personal data or secrets.

    Raises:
        DataError: It cannot be used; the subclass and the message say why.
        ConfigError: Its rows are conversations, and there is no chat template.
    """
    parts = [(read_rows(place, entry, name), False)]
    if entry.held_out_split is not None:
        parts.append((read_rows(place, entry, name, entry.held_out_split), True))
    chosen = choose_format(entry, parts[0][0].columns, name)
    for rows, _ in parts:
        _check_columns(rows, chosen, entry, name)
    source = Source(name, chosen, rows=sum(len(rows) for rows, _ in parts), screen=RowScreen.make(screen))
    parse = _parser(source, entry, [rows for rows, _ in parts], tokenizer)
    encoder = Encoder(tokenizer, max_length, source.chat_template)
    wanted = list(dict.fromkeys([*chosen.wanted, *([entry.group_by] if entry.group_by else [])]))
    glued = Glue()
    number = 0
    for rows, held_out in parts:
        for batch in rows.batches(wanted):
            looked = [source.screen.look(line, chosen.content) for line in batch]
            examples = _encode(encoder, [_parsed(row, parse, glued) for row in looked])
            for line, row, example in zip(batch, looked, examples, strict=True):
                number += 1
                counted = example if isinstance(example, RowFaultError) else source.screen.count(example, row, number)
                if isinstance(counted, RowFaultError):
                    source.tally.add(counted, number)
                    continue
                group = None if entry.group_by is None else _group(line, entry.group_by)
                source.kept.append(Kept(counted, number, group, held_out, own_text(row.line, chosen.content)))
    source.prompt = glued.prompt
    source.warnings += glued.warnings(name)
    return source


@dataclass
class Glue:
    """Looks at where prompts end and responses begin, and keeps the first prompt."""

    prompt: str | None = None
    spaces: int = 0
    touching: int = 0

    def look(self, row: Written, *, showable: bool) -> None:
        """Looks at one row."""
        if showable:
            self.prompt = self.prompt or row.prompt
        if row.turns:
            return
        for before, after in zip(row.pieces, row.pieces[1:], strict=False):
            if after.response and not before.response:
                self.spaces += before.text.endswith(" ")
                self.touching += before.text[-1].isalnum() and after.text[0].isalnum()

    def warnings(self, name: str) -> list[str]:
        """Returns what to look at."""
        found = []
        if self.spaces:
            found.append(
                f"{name}: in {self.spaces:,} rows the prompt ends with a space, which most tokenizers make part of the "
                "response's first token; let the response begin with it, and ask without it"
            )
        if self.touching:
            found.append(
                f"{name}: in {self.touching:,} rows nothing stands between prompt and completion; "
                'a `template` such as "{prompt}\\n{completion}" puts something there'
            )
        return found


def _parsed(looked: Looked, parse: Callable[[Mapping[str, object]], Parsed], glued: Glue) -> Parsed:
    if looked.line is None:
        return RowFaultError(Reason.NOT_JSON)
    try:
        row = parse(looked.line)
    except RowFaultError as fault:
        return fault
    if isinstance(row, Written):
        # The record and the card show the prompt.
        glued.look(row, showable=not looked.hits)
    return row


def _encode(encoder: Encoder, rows: Sequence[Parsed]) -> Iterator[Example | RowFaultError]:
    written = iter(encoder.encode([row for row in rows if isinstance(row, Written)]))
    classified = iter(encoder.classify([row for row in rows if isinstance(row, Classified)]))
    for row in rows:
        if isinstance(row, RowFaultError):
            yield row
        else:
            yield next(written) if isinstance(row, Written) else next(classified)


def _parser(
    source: Source, entry: DataConfig, parts: Sequence[Rows], tokenizer: "PreTrainedTokenizerBase"
) -> Callable[[Mapping[str, object]], Parsed]:
    chosen = source.format
    if chosen.kind == "chat":
        writer = ChatWriter.make(tokenizer, entry.chat_template, chosen.loss_on, source.name)
        source.chat_template = writer.template
        return lambda row: writer.write(read_conversation(row, chosen.columns))
    if chosen.kind == "classification":
        labels = source.labels = _label_set(entry, chosen.columns["label"], parts, source.name)
        return lambda row: classify(row, chosen, labels)
    return lambda row: write_text(row, chosen)


def _label_set(entry: DataConfig, column: str, parts: Sequence[Rows], name: str) -> LabelSet:
    values = [
        line[column]
        for rows in parts
        for batch in rows.batches([column])
        for line in batch
        if line is not None and line[column] is not None
    ]
    found = find_labels(values)
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


def _group(line: Line, column: str) -> str | None:
    """Returns the row's group; a row without one falls by its text."""
    value = None if line is None else line[column]
    return str(value) if value is not None and str(value).strip() else None
