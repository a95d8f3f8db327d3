"""The format of a dataset's rows, and rows of every format except chat: their columns and their text.

The config states the format, or the columns decide it. A row for classification becomes a text with the ids of its
classes. The dataset states the class names, or they are read from the rows. A template, a prompt with its completion
and an instruction become segments, which are targets or not.
"""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hubtune.config.data import OPTIONAL_ROLES, ROLES, DataConfig, FormatName, LossOn, default_loss
from hubtune.config.fields import template_columns
from hubtune.data import segments as text_segments
from hubtune.errors import ColumnNotFoundError, DataError

# From the most telling columns to the least.
_INFERABLE: tuple[FormatName, ...] = ("chat", "prompt_completion", "instruction", "classification", "text")
_MOST_IDS = 1000
"""Larger numbers in a file of text are codes: names, and not places in a list of classes."""
# The prompts that Stanford Alpaca (Taori et al., 2023) was trained with.
_ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
_ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)


@dataclass(frozen=True)
class RowFormat:
    """The format of one dataset.

    Attributes:
        columns: The column of each part of a row; empty if a template names the columns.
        template: The row's text with `{column}` fields; None if no template of the config writes it.
        inferred: Whether the columns decided, not the config.
    """

    kind: FormatName
    columns: Mapping[str, str]
    template: str | None
    loss_on: LossOn
    inferred: bool

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns that are read."""
        named = template_columns(self.template) if self.template is not None else ()
        return tuple(dict.fromkeys([*named, *self.columns.values()]))

    @property
    def content(self) -> tuple[str, ...]:
        """The columns with text by people or models: not labels, and not the schemas of tools."""
        other = {self.columns.get("label"), self.columns.get("tools")}
        return tuple(column for column in self.wanted if column not in other)


def choose_format(entry: DataConfig, columns: Sequence[str], source: str) -> RowFormat:
    """Returns the format of a dataset with these columns.

    Args:
        entry: The dataset's part of the config.
        columns: Its columns.
        source: What to call it.

    Raises:
        ColumnNotFoundError: A column that the format needs is not there; the message names those that are.
        DataError: The config states no format, and the columns look like none.
    """
    kind = entry.stated_format or _infer(entry, columns, source)
    found = {} if entry.template is not None else _columns(entry, kind, columns)
    chosen = RowFormat(kind, found, entry.template, entry.loss_on or default_loss(kind), entry.stated_format is None)
    parts = [role for role in ROLES[kind] if role not in found and role not in OPTIONAL_ROLES and not entry.template]
    missing = [column for column in chosen.wanted if column not in columns]
    if entry.group_by is not None and entry.group_by not in columns:
        missing.append(entry.group_by)
    if parts or missing:
        _refuse(kind, parts, missing, columns, source)
    return chosen


def infer_format(columns: Sequence[str]) -> FormatName | None:
    """Returns the format that these column names suggest, or None."""
    for kind in _INFERABLE:
        needed = [usual for role, usual in ROLES[kind].items() if role not in OPTIONAL_ROLES]
        if all(any(name in columns for name in usual) for usual in needed):
            return kind
    return None


def _infer(entry: DataConfig, columns: Sequence[str], source: str) -> FormatName:
    # Columns that the config names count as if they had the usual name.
    named = [ROLES[kind][role][0] for kind in ROLES for role in entry.columns.named() if ROLES[kind].get(role)]
    kind = infer_format([*columns, *named])
    if kind is None:
        raise DataError(
            f"Nothing says how a row of {source} is to be read; its columns are: {', '.join(columns)}.",
            hint='State a `format` and its `columns`, a `template` such as "{%s}", or a column as `text`.'
            % (columns[0] if columns else "column"),
        )
    return kind


def _columns(entry: DataConfig, kind: FormatName, columns: Sequence[str]) -> dict[str, str]:
    stated = {**entry.columns.named(), **({"text": entry.text} if entry.text is not None else {})}
    found = {}
    for role, usual in ROLES[kind].items():
        column = stated.get(role) or next((name for name in usual if name in columns), None)
        if column is not None:
            found[role] = column
    return found


def _refuse(
    kind: FormatName, parts: Sequence[str], missing: Sequence[str], columns: Sequence[str], source: str
) -> None:
    lacks = []
    if missing:
        lacks.append("no column " + ", ".join(repr(column) for column in missing))
    if parts:
        lacks.append(f"no column for the {' and the '.join(parts)} of format {kind!r}")
    hint = f"Name them: columns: {{{parts[0]}: COLUMN}}." if parts else "Correct the names in this part of the config."
    raise ColumnNotFoundError(f"{source} has {', and '.join(lacks)}; its columns are: {', '.join(columns)}.", hint=hint)


@dataclass(frozen=True)
class LabelSet:
    """The classes of a dataset.

    Attributes:
        names: Their names, in the order of their ids.
        several: Whether a row holds a list of labels.
    """

    names: tuple[str, ...]
    several: bool

    def ids(self, value: object) -> tuple[int, ...]:
        """Returns the ids of a row's labels, in order.

        Raises:
            DroppedRowError: A label is missing or unknown.
        """
        if value is None:
            raise text_segments.DroppedRowError(text_segments.DropReason.NULL)
        if self.several:
            if not isinstance(value, list):
                raise text_segments.DroppedRowError(text_segments.DropReason.LABEL, repr(value))
            return tuple(sorted({self._id(label) for label in value}))
        return (self._id(value),)

    def _id(self, label: object) -> int:
        if isinstance(label, bool):
            label = int(label)
        if isinstance(label, int) and 0 <= label < len(self.names):
            return label
        if isinstance(label, str) and label in self.names:
            return self.names.index(label)
        if isinstance(label, str) and _is_id(label) and int(label) < len(self.names):
            return int(label)
        if isinstance(label, int) and str(label) in self.names:
            return self.names.index(str(label))
        raise text_segments.DroppedRowError(text_segments.DropReason.LABEL, repr(label)[:60])


def classify(row: Mapping[str, object], chosen: RowFormat, labels: LabelSet) -> text_segments.Classified:
    """Reads a row for classification.

    Raises:
        DroppedRowError: The row cannot be used.
    """
    text = text_segments.checked_text(row[chosen.columns["text"]])
    pair = text_segments.checked_text(row[chosen.columns["text_pair"]]) if "text_pair" in chosen.columns else None
    return text_segments.Classified(text, pair, labels.ids(row[chosen.columns["label"]]))


def find_labels(values: Iterable[object], *, of_text: bool = False) -> LabelSet:
    """Returns the label set of a column's values: names in alphabetical order, or ids from 0 to the largest.

    Args:
        values: What the rows hold.
        of_text: Whether they come from a file in which everything is text, so that ids are, too.
    """
    several, names, ids = False, set[str](), set[int]()
    for value in values:
        several = several or isinstance(value, list)
        for label in value if isinstance(value, list) else [value]:
            if isinstance(label, str) and label:
                names.add(label)
            elif isinstance(label, int):
                ids.add(int(label))
    if of_text and names and all(_is_id(name) for name in names) and max(map(int, names)) < _MOST_IDS:
        names, ids = set(), {int(name) for name in names}
    if names:
        return LabelSet(tuple(sorted(names)), several)
    return LabelSet(tuple(str(number) for number in range(max(ids, default=-1) + 1)), several)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and len(text) < 10


def write_text(row: Mapping[str, object], chosen: RowFormat) -> text_segments.WrittenRow:
    """Formats a row of one of the text formats.

    Raises:
        DroppedRowError: The row cannot be used.
    """
    learn_all = chosen.loss_on == "all"
    if chosen.template is not None:
        # If all tokens are targets and no part is a response, the whole row is one.
        whole = chosen.kind == "template" and learn_all
        return _filled(row, chosen.template, learn_all=learn_all, whole=whole)
    if chosen.kind == "text":
        return text_segments.WrittenRow(
            (text_segments.Segment(text_segments.checked_text(row[chosen.columns["text"]]), response=True),), learn_all
        )
    if chosen.kind == "prompt_completion":
        asked: tuple[text_segments.Segment, ...] = (
            text_segments.Segment(text_segments.checked_text(row[chosen.columns["prompt"]]), response=False),
        )
        response = _response(row, chosen.columns["completion"])
    else:
        asked = _alpaca(row, chosen.columns)
        response = _response(row, chosen.columns["response"])
    return text_segments.WrittenRow((*asked, response), learn_all, prompt=_text(asked))


def _response(row: Mapping[str, object], column: str) -> text_segments.Segment:
    return text_segments.Segment(
        text_segments.checked_text(row[column], blank=text_segments.DropReason.NO_RESPONSE), response=True
    )


def _alpaca(row: Mapping[str, object], columns: Mapping[str, str]) -> tuple[text_segments.Segment, ...]:
    values = {"instruction": text_segments.checked_text(row[columns["instruction"]])}
    given = row[columns["input"]] if "input" in columns else None
    if isinstance(given, str) and given.strip():
        values["input"] = text_segments.sound_text(given)
    elif given is not None and not isinstance(given, str):
        raise text_segments.DroppedRowError(text_segments.DropReason.NOT_TEXT, type(given).__name__)
    template = _ALPACA_WITH_INPUT if "input" in values else _ALPACA
    segments = []
    for literal, name, _, _ in string.Formatter().parse(template):
        segments.append(text_segments.Segment(literal, response=False, control=True))
        if name is not None:
            segments.append(text_segments.Segment(values[name], response=False))
    return text_segments.joined(segments)


def _filled(row: Mapping[str, object], template: str, *, learn_all: bool, whole: bool) -> text_segments.WrittenRow:
    """Fills a template; its last field, and what is after that, is the response unless the whole row is."""
    fields = list(string.Formatter().parse(template))
    last = max(number for number, (_, name, _, _) in enumerate(fields) if name is not None)
    columns = template_columns(template)
    texts = {column: _as_text(row[column]) for column in columns}
    segments: list[text_segments.Segment] = []
    prompt = ""
    for number, (literal, name, _, _) in enumerate(fields):
        if number == last and not whole:
            # A space before the response is part of its first token.
            asked = literal.rstrip(" ")
            segments.append(text_segments.Segment(asked, response=False, control=True))
            prompt = _text(segments)
            segments.append(text_segments.Segment(literal[len(asked) :], response=True, control=True))
        else:
            segments.append(text_segments.Segment(literal, response=whole or number > last, control=True))
            prompt = _text(segments) if number == last else prompt
        if name is not None:
            segments.append(text_segments.Segment(texts[name], response=whole or number == last))
    return text_segments.WrittenRow(
        text_segments.joined(segments), learn_all, prompt=prompt.rstrip(" ") if len(columns) > 1 else None
    )


def _text(segments: Sequence[text_segments.Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _as_text(value: object) -> str:
    """Returns the text of a template's field; numbers are written as they are, and truth values as JSON has them."""
    return text_segments.checked_text(text_segments.as_written(value))
