"""What a row says, before there are tokens: segments of text, each from a template or from the data.

Here it is decided which texts of the data can be used at all, and what is worth a warning about how rows are written.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hubtune.data.drop_reasons import DroppedRowError, DropReason

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
        learn_all: Whether prompts carry loss like responses.
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
