"""Finds the rows that repeat others, and leaves out those that the config says, once it is known what is held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubtune.config.screening import COPY_KINDS, CopyKind, ScreenConfig
from hubtune.data.faults import Reason
from hubtune.data.screening.copies import Side, contamination
from hubtune.data.screening.rows import Count
from hubtune.data.source import Kept, Source
from hubtune.errors import EmptySplitError, ScreeningError

_REASONS: dict[CopyKind, Reason] = {
    "duplicates": Reason.DUPLICATE,
    "near_duplicates": Reason.NEAR_DUPLICATE,
    "contamination": Reason.CONTAMINATED,
}
_NAMES: dict[CopyKind, str] = {
    "duplicates": "the text of an earlier row",
    "near_duplicates": "most of the text of an earlier row",
    "contamination": "a text that is held out, or thirteen words of one",
}


Owned = tuple[int, Kept]
"""The place of a data set, and a row of it."""


@dataclass(frozen=True)
class Remaining:
    """What is left to train on, of each data set, and what is held out.

    Attributes:
        counts: What was found, by kind; `hits` of contamination are the rows to train on, `rows` the held-out ones.
    """

    train: list[list[Kept]]
    held_out: list[Kept]
    counts: dict[CopyKind, Count]


def without_repeats(
    config: ScreenConfig, sources: Sequence[Source], train: Sequence[Sequence[Kept]], held_out: Sequence[Kept]
) -> Remaining:
    """Finds rows that repeat others.

    Duplicates are looked for among the rows to train on and among those held out; the first of them stays. A row to
    train on that repeats a held-out one is contamination, and it is the row to train on that goes.

    Raises:
        ScreeningError: There are some of a kind that the config refuses.
        EmptySplitError: Nothing would be left to train on.
    """
    learnt = [(number, kept) for number, rows in enumerate(train) for kept in rows]
    owners = {id(kept): number for number, source in enumerate(sources) for kept in source.kept}
    measured = [(owners[id(kept)], kept) for kept in held_out]
    sides = Side([kept.own for _, kept in learnt]), Side([kept.own for _, kept in measured])
    across = contamination(*sides)
    found = _within(sides, (learnt, measured)) | {"contamination": [learnt[place] for place in across.train]}
    _require_allowed(config, sources, found)
    gone: set[int] = set()
    counts = {}
    for kind in COPY_KINDS:
        dropped = [pair for pair in found[kind] if id(pair[1]) not in gone] if config.copies(kind) == "drop" else []
        for number, source in enumerate(sources):
            source.leave_out([kept for owner, kept in dropped if owner == number], _REASONS[kind])
        gone |= {id(kept) for _, kept in dropped}
        rows = len(across.held_out) if kind == "contamination" else len(found[kind])
        counts[kind] = Count(rows=rows, hits=len(found[kind]), dropped=len(dropped))
    remaining = Remaining(
        train=[[kept for kept in rows if id(kept) not in gone] for rows in train],
        held_out=[kept for kept in held_out if id(kept) not in gone],
        counts=counts,
    )
    if not any(remaining.train):
        raise EmptySplitError(
            "Every row to train on repeats held-out text.",
            hint="Hold out other rows, or let them be with `screen.contamination: report`.",
        )
    return remaining


def _within(sides: Sequence[Side], rows: Sequence[Sequence[Owned]]) -> dict[CopyKind, list[Owned]]:
    found: dict[CopyKind, list[Owned]] = {"duplicates": [], "near_duplicates": []}
    for side, own in zip(sides, rows, strict=True):
        copies = side.copies()
        found["duplicates"] += [own[place] for place in copies.duplicates]
        found["near_duplicates"] += [own[place] for place in copies.near_duplicates]
    return found


def _require_allowed(
    config: ScreenConfig, sources: Sequence[Source], found: Mapping[CopyKind, Sequence[Owned]]
) -> None:
    refused = [kind for kind in COPY_KINDS if config.copies(kind) == "refuse" and found[kind]]
    if refused:
        raise ScreeningError(
            "Rows repeat others, and the config refuses to train on them.",
            details=[_line(kind, sources, found[kind]) for kind in refused],
            hint="Take them out of the data, or choose with "
            + ", ".join(f"`screen.{kind}: drop`" for kind in refused)
            + " (or report) what becomes of such rows.",
        )


def _line(kind: CopyKind, sources: Sequence[Source], found: Sequence[Owned]) -> str:
    owner, first = min(found, key=lambda pair: (pair[0], pair[1].row))
    rows = "1 row repeats" if len(found) == 1 else f"{len(found):,} rows repeat"
    return f"{rows} {_NAMES[kind]}, first row {first.row:,} of {sources[owner].name}"
