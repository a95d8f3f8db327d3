"""Chooses the format of a data set: the one that the config states, or the one that the columns look like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubtune.config.data import OPTIONAL_ROLES, ROLES, DataConfig, FormatName, LossOn, default_loss
from hubtune.config.fields import template_columns
from hubtune.errors import ColumnNotFoundError, DataError

# From the most telling columns to the least.
_INFERABLE: tuple[FormatName, ...] = ("chat", "prompt_completion", "instruction", "classification", "text")


@dataclass(frozen=True)
class RowFormat:
    """A format as it is applied to one data set.

    Attributes:
        columns: The column of each part of a row; empty where a template names the columns.
        template: The row's text with `{column}` fields; None where no template of the config writes it.
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
        """The columns that hold what people or models wrote: not labels, and not the schemas of tools."""
        other = {self.columns.get("label"), self.columns.get("tools")}
        return tuple(column for column in self.wanted if column not in other)


def choose_format(entry: DataConfig, columns: Sequence[str], source: str) -> RowFormat:
    """Returns the format of a data set with these columns.

    Args:
        entry: The data set's part of the config.
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
    """Returns the format that columns of these names look like; None where they look like none."""
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
