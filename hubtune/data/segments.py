"""The text of a row before it is tokenized: segments, each from a template or from the data; and drop reasons.

This module decides which texts of the data can be used, which warnings to give about the form of rows, and counts the
dropped rows by reason.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from hubtune import files

# How Arrow says that a value does not have the type of its column: with the value.
_QUOTES = re.compile(
    r"failed to parse|could not (?:convert|parse)|scalar of type|value .* (?:not in range|truncated)", re.I
)
READABLE = "JSON Lines, CSV, Parquet and Arrow can, whole and of one form; several configurations need `data[].name`."
"""What to do about files that cannot be read as a dataset."""


class DropReason(Enum):
    """One reason to drop a row: its name in records and on cards, and what to do about it."""

    NULL = "a field is null", "fill in the field, or remove such rows from the data"
    BLANK = "a field is blank", "fill in the field, or remove such rows from the data"
    NOT_TEXT = "a field is not text", "store text in this column, or name another column with `columns`"
    NO_RESPONSE = "the response is empty", "the model cannot learn from an empty response; remove the row from the data"
    SURROGATE = (
        "a text contains an unpaired surrogate",
        "write the file again as UTF-8; the text was cut within a character",
    )
    NUL = "a text contains a NUL character", "remove the NUL characters; the file may be damaged"
    HUGE = (
        "a text is longer than 1,000,000 characters",
        "split the row; a missing line end can turn a whole file into one row",
    )
    NOT_JSON = "the line is not JSON", "write one JSON object per line"
    RAGGED = (
        "a row has more or fewer cells than the header",
        "quote cells that contain the separator or a line end, or set the separator as `data[].separator`",
    )
    MESSAGES = "the messages are not a list of roles and texts", "write [{role, content}] or ShareGPT's [{from, value}]"
    ROLE = "a role is unknown", "use system, user, assistant and tool"
    ORDER = "the roles are out of order", "alternate user and assistant, beginning with user and ending with assistant"
    TOOLS = "the tools are not a list of JSON schemas", "write a list of objects, or that list as JSON text"
    TEMPLATE = "the chat template refuses the messages", "write the messages in the form that this template expects"
    NOT_WRITTEN = (
        "the chat template does not render all of an answer",
        "use a chat template that does, or remove the part; `loss_on: completion` needs only the last answer",
    )
    NO_ROOM = "the prompt leaves no room for the response", "raise train.max_length, or shorten the prompts"
    NOTHING_LEARNED = ("it has no target tokens", "inspect the row with `hubtune data show`, and the chat template")
    LABEL = "the label is unknown", "correct the label, or add it to `data[].labels`"
    HELD_OUT = "the same text is held out", "nothing to do: a duplicate of a held-out row is never trained on"
    EMAIL = "it holds an e-mail address", "nothing to do: `screen.email` asks for this"
    PHONE = "it holds a telephone number", "nothing to do: `screen.phone` asks for this"
    CARD_NUMBER = "it holds a card number", "nothing to do: `screen.card_number` asks for this"
    IBAN = "it holds an IBAN", "nothing to do: `screen.iban` asks for this"
    IP_ADDRESS = "it holds an IP address", "nothing to do: `screen.ip_address` asks for this"
    SECRET = "it holds a secret", "nothing to do: `screen.secret` asks for this"
    DUPLICATE = "it is a duplicate of an earlier row", "nothing to do: `screen.duplicates` asks for this"
    NEAR_DUPLICATE = "it is a near duplicate of an earlier row", "nothing to do: `screen.near_duplicates` asks for this"
    CONTAMINATED = "it repeats part of a held-out row", "nothing to do: `screen.contamination` asks for this"

    def __init__(self, text: str, fix: str) -> None:
        self.text = text
        self.fix = fix


ON_PURPOSE = frozenset(
    {
        *(
            DropReason.HELD_OUT,
            DropReason.EMAIL,
            DropReason.PHONE,
            DropReason.CARD_NUMBER,
            DropReason.IBAN,
            DropReason.IP_ADDRESS,
        ),
        *(DropReason.SECRET, DropReason.DUPLICATE, DropReason.NEAR_DUPLICATE, DropReason.CONTAMINATED),
    }
)
"""Reasons that are no fault of the data: the rows are usable, but the config says to drop them."""


class DroppedRowError(Exception):
    """A row cannot be used: it is counted and dropped. This error never leaves the package `data`.

    Args:
        reason: Why.
        detail: More about this row than the reason says.
    """

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(reason.text)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class UnreadableRow:
    """A row of a file that could not be read; it replaces the row.

    Attributes:
        reason: Why.
        detail: More than the reason says; never a value of the data.
    """

    reason: DropReason
    detail: str = ""


RawRow = dict[str, object] | UnreadableRow
"""One row of a dataset by its columns, before it is processed."""


@dataclass
class DropTally:
    """The rows dropped from one dataset: how many for each reason, and the first row of each, counted from 1."""

    counts: Counter[DropReason] = field(default_factory=Counter)
    first: dict[DropReason, int] = field(default_factory=dict)
    details: dict[DropReason, str] = field(default_factory=dict)

    def add(self, fault: DroppedRowError, row: int) -> None:
        """Counts one row."""
        self.add_several(fault.reason, 1, row, fault.detail)

    def merge(self, later: "DropTally") -> None:
        """Adds the rows of another tally."""
        for reason, count in later.counts.items():
            self.add_several(reason, count, later.first[reason], later.details[reason])

    def add_several(self, reason: DropReason, count: int, first: int, detail: str = "") -> None:
        """Counts rows that were dropped for one reason; `first` is the number of the first of them."""
        self.counts[reason] += count
        if reason not in self.first or first < self.first[reason]:
            self.first[reason] = first
            self.details[reason] = detail

    def dropped(self) -> dict[str, int]:
        """Returns the number of rows left out, by reason."""
        return {reason.text: count for reason, count in self.counts.items()}

    def first_rows(self) -> dict[str, int]:
        """Returns the number of the first row left out, by reason."""
        return {reason.text: self.first[reason] for reason in self.counts}

    @property
    def unusable(self) -> int:
        """Rows that something is wrong with; those that the run leaves out on purpose are none of them."""
        return self.counts.total() - sum(self.counts[reason] for reason in ON_PURPOSE)

    def lines(self) -> list[str]:
        """Returns a line for each reason: how often, where first, and what to do."""
        lines = []
        for reason, count in self.counts.most_common():
            detail = f" ({self.details[reason]})" if self.details[reason] else ""
            rows = "1 row" if count == 1 else f"{count:,} rows"
            lines.append(f"{rows}, first row {self.first[reason]:,}: {reason.text}{detail}; {reason.fix}")
        return lines


def unreadable() -> tuple[type[Exception], ...]:
    """Returns what `datasets` and Arrow raise over a file, or over what it says of its columns."""
    # Here and not above: what is known of rows without reading any needs no Arrow, which the core does not have.
    import pyarrow as pa

    return (pa.ArrowException, ValueError, TypeError, LookupError, AttributeError, OSError, RuntimeError)


def reason_of(error: Exception) -> str:
    """Returns what a library says of files that it cannot read, without the values that it quotes."""
    said = files.reason(error.__cause__ or error)
    return "their values are not of the types that the card or the first file states" if _QUOTES.search(said) else said


LONGEST_TEXT = 1_000_000
"""Characters; see `DropReason.HUGE`."""
_MOST_FIELDS, _LONGEST_FIELD = 10, 40


@dataclass(frozen=True)
class Segment:
    """A run of text.

    Attributes:
        response: Whether the model has to give it; the rest is what it is asked.
        control: Whether a template wrote it, so that special tokens in it are meant. Those in data are text.
    """

    text: str
    response: bool
    control: bool = False


@dataclass(frozen=True)
class WrittenRow:
    """A row as segments.

    Attributes:
        segments: In order; put together they are the row's text.
        learn_all: Whether prompts are targets like responses.
        prompt: An example of what to ask the tuned model; None if a row has no such part.
        turns: Whether the text is a chat's, which a template ends turn by turn.
        hidden: What the template leaves out of what the answers follow from, in words.
        fields: Fields of the answers' messages that it leaves out, and that may mean something or not.
    """

    segments: tuple[Segment, ...]
    learn_all: bool
    prompt: str | None = None
    turns: bool = False
    hidden: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The row's text."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True)
class Classified:
    """A row to classify: a text or a pair, and the ids of its classes: one, unless a row may have several."""

    text: str
    pair: str | None
    labels: tuple[int, ...]


def checked_text(value: object, *, blank: DropReason = DropReason.BLANK) -> str:
    """Returns a value of the data if it is text that can be used.

    Raises:
        DroppedRowError: It cannot; the reason says why. `blank` is the reason for no text.
    """
    if value is None:
        raise DroppedRowError(DropReason.NULL)
    if not isinstance(value, str):
        raise DroppedRowError(DropReason.NOT_TEXT, type(value).__name__)
    if not value.strip():
        raise DroppedRowError(blank)
    return sound_text(value)


def as_written(value: object) -> object:
    """Returns numbers and truth values as the text that JSON has for them, and all else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def sound_text(value: str) -> str:
    """Returns a text if it can be encoded; it may be empty.

    Raises:
        DroppedRowError: It is too long, or holds a NUL or half a surrogate pair.
    """
    if len(value) > LONGEST_TEXT:
        raise DroppedRowError(DropReason.HUGE, f"{len(value):,} characters")
    if "\0" in value:
        raise DroppedRowError(DropReason.NUL)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DroppedRowError(DropReason.SURROGATE) from None
    return value


def joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Returns the segments without empty ones."""
    return tuple(segment for segment in segments if segment.text)


@dataclass
class WritingNotes:
    """Notes on rows as they are written, with the first prompt as an example."""

    prompt: str | None = None
    spaces: int = 0
    touching: int = 0
    hidden: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)

    def add_row(self, row: WrittenRow, *, showable: bool) -> None:
        """Notes what there is to say of one row."""
        if showable:
            self.prompt = self.prompt or row.prompt
        if row.turns:
            self.hidden.update(row.hidden)
            self.fields.update(row.fields)
            return
        for before, after in zip(row.segments, row.segments[1:], strict=False):
            if after.response and not before.response:
                self.spaces += before.text.endswith(" ")
                self.touching += before.text[-1].isalnum() and after.text[0].isalnum()

    def add(self, later: "WritingNotes") -> None:
        """Adds what was seen in rows that follow."""
        self.prompt = self.prompt or later.prompt
        self.spaces += later.spaces
        self.touching += later.touching
        self.hidden += later.hidden
        self.fields += later.fields

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
        found += [
            f"{name}: the chat template leaves out {what} in {count:,} row{'' if count == 1 else 's'}, so the model is "
            "trained without"
            for what, count in sorted(self.hidden.items())
        ]
        if self.fields:
            most = ", ".join(f"`{key[:_LONGEST_FIELD]}`" for key, _ in self.fields.most_common(_MOST_FIELDS))
            more = f" and {len(self.fields) - _MOST_FIELDS:,} more" if len(self.fields) > _MOST_FIELDS else ""
            found.append(
                f"{name}: the chat template does not write these fields of the assistant's messages, so the model does "
                f"not learn them: {most}{more}"
            )
        return found
