"""Screens rows for personal data and secrets before they become text, and takes the action that the config sets."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hubtune.config.data import COPY_KINDS, PERSONAL_KINDS, CopyKind, PersonalKind, ScreenConfig
from hubtune.data.screening.detectors import Detectors, by_kind
from hubtune.data.segments import LONGEST_TEXT, DroppedRowError, DropReason, RawRow, UnreadableRow
from hubtune.data.tokenization import Example
from hubtune.errors import ScreeningError
from hubtune.records.base import Progress
from hubtune.records.data import FindingRecord, ScreenRecord

REASONS: dict[PersonalKind, DropReason] = {
    "email": DropReason.EMAIL,
    "phone": DropReason.PHONE,
    "card_number": DropReason.CARD_NUMBER,
    "iban": DropReason.IBAN,
    "ip_address": DropReason.IP_ADDRESS,
    "secret": DropReason.SECRET,
}
NAMES: dict[PersonalKind, str] = {
    "email": "an e-mail address",
    "phone": "a telephone number",
    "card_number": "a card number",
    "iban": "an IBAN",
    "ip_address": "an IP address",
    "secret": "a secret, such as a token, a key or a password",
}
# The parts of a message that no person wrote.
_ROLES = frozenset({"role", "from"})
_DONE = {
    "report": "such rows are used as they are",
    "redact": "a placeholder takes its place",
    "drop": "such rows are left out",
    "refuse": "the run stops",
}


@dataclass(frozen=True)
class Accuracy:
    """What a detector finds among labeled values, in short texts: logs, settings, code, tables, chats and prose.

    Attributes:
        labelled: Values that are to be found.
        right: Those that are found from their first to their last character.
        wrong: Findings that are none, or not the whole value.
    """

    labelled: int
    right: int
    wrong: int

    @property
    def precision(self) -> float:
        """Share of findings that are right."""
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the labeled values that are found."""
        return self.right / self.labelled


ACCURACY: dict[PersonalKind, Accuracy] = {
    "email": Accuracy(labelled=13, right=13, wrong=0),
    "phone": Accuracy(labelled=13, right=12, wrong=1),
    "card_number": Accuracy(labelled=12, right=12, wrong=0),
    "iban": Accuracy(labelled=13, right=13, wrong=0),
    "ip_address": Accuracy(labelled=24, right=24, wrong=0),
    "secret": Accuracy(labelled=22, right=19, wrong=0),
}


@dataclass(frozen=True)
class ScreenedRow:
    """A row that was searched.

    Attributes:
        line: The row to use, redacted as the config says, or that there is none.
        hits: Findings by kind, kinds without any left out.
    """

    line: RawRow
    hits: dict[PersonalKind, int]


@dataclass
class Count:
    """Findings of one kind in the rows of a dataset.

    Attributes:
        first: The number of the first row where it was found, from 1; 0 while there is none.
    """

    rows: int = 0
    hits: int = 0
    dropped: int = 0
    redacted: int = 0
    first: int = 0

    def add(self, later: "Count") -> None:
        """Adds the findings of later rows."""
        self.rows += later.rows
        self.hits += later.hits
        self.dropped += later.dropped
        self.redacted += later.redacted
        self.first = self.first or later.first


@dataclass
class RowScreen:
    """Searches the rows of one dataset for personal data and secrets, and counts the findings.

    Attributes:
        rows: Rows that were counted.
    """

    config: ScreenConfig
    detectors: Detectors
    rows: int = 0
    counts: dict[PersonalKind, Count] = field(default_factory=lambda: {kind: Count() for kind in PERSONAL_KINDS})

    @classmethod
    def make(cls, config: ScreenConfig) -> "RowScreen":
        """Returns a screen that has seen no row yet."""
        return cls(config, Detectors.make(config.phone_regions))

    def add(self, later: "RowScreen") -> None:
        """Adds the findings of later rows."""
        self.rows += later.rows
        for kind, count in later.counts.items():
            self.counts[kind].add(count)

    def screen(self, line: RawRow, columns: Collection[str]) -> ScreenedRow:
        """Searches the texts in these columns, also those within lists and mappings.

        Nothing is counted yet: whether the row can be used shows later.
        """
        if isinstance(line, UnreadableRow):
            return ScreenedRow(line, {})
        hits: dict[PersonalKind, int] = {}
        redacted = frozenset(kind for kind in PERSONAL_KINDS if self.config.personal(kind) == "redact")

        def change(text: str) -> str:
            found = by_kind(self.detectors.find(text))
            for kind, count in found.items():
                hits[kind] = hits.get(kind, 0) + count
            return self.detectors.redact(text, redacted) if redacted & found.keys() else text

        changed = {column: _rewritten(value, change) for column, value in line.items() if column in columns}
        return ScreenedRow({**line, **changed} if redacted & hits.keys() else line, hits)

    def count(self, example: Example, row: ScreenedRow, number: int) -> Example | DroppedRowError:
        """Counts a usable row, and returns it or its drop reason.

        Args:
            example: What became of the row.
            row: What was found in it.
            number: Its number, from 1.
        """
        self.rows += 1
        dropped: PersonalKind | None = None
        for kind, found in row.hits.items():
            count = self.counts[kind]
            count.rows += 1
            count.hits += found
            count.first = count.first or number
            count.redacted += found if self.config.personal(kind) == "redact" else 0
            if dropped is None and self.config.personal(kind) == "drop":
                dropped = kind
        if dropped is not None:
            self.counts[dropped].dropped += 1
            return DroppedRowError(REASONS[dropped])
        return example

    def require_allowed(self, name: str) -> None:
        """Refuses a dataset with findings that the config does not allow.

        Raises:
            ScreeningError: It does; the details tell of each kind.
        """
        refused = [kind for kind in PERSONAL_KINDS if self.config.personal(kind) == "refuse" and self.counts[kind].rows]
        if refused:
            raise ScreeningError(
                f"Rows of {name} hold what the config refuses to train on.",
                details=[self._line(kind) for kind in refused],
                hint="Take it out of the data, and revoke what is secret: it was published. Or choose with "
                + ", ".join(f"`screen.{kind}: redact`" for kind in refused)
                + " (or drop, or report) what becomes of such rows.",
            )

    def say(self, name: str, progress: Progress) -> None:
        """Reports the number of findings."""
        for kind in PERSONAL_KINDS:
            if self.counts[kind].rows:
                progress.warn(f"{name}: {self._line(kind)}; {_DONE[self.config.personal(kind)]}")

    def _line(self, kind: PersonalKind) -> str:
        count = self.counts[kind]
        rows = "1 row holds" if count.rows == 1 else f"{count.rows:,} rows hold"
        return f"{rows} {NAMES[kind]}, first row {count.first:,}"


def own_text(line: RawRow, columns: Collection[str]) -> str:
    """Returns the texts in these columns, a line each: a row without the words that a template gives to every row."""
    texts: list[str] = []

    def keep(text: str) -> str:
        texts.append(text)
        return text

    for column in columns:
        _rewritten(None if isinstance(line, UnreadableRow) else line.get(column), keep)
    return "\n".join(texts)


def _rewritten(value: object, change: Callable[[str], str]) -> object:
    """Returns the value with every text in it changed; numbers that change become text."""
    if isinstance(value, str):
        # Such a row cannot be used, and would take long to look through.
        return change(value) if len(value) <= LONGEST_TEXT else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        changed = change(text)
        return value if changed == text else changed
    if isinstance(value, list):
        return [_rewritten(item, change) for item in value]
    if isinstance(value, dict):
        return {key: item if key in _ROLES else _rewritten(item, change) for key, item in value.items()}
    return value


def screen_record(
    config: ScreenConfig, screens: Sequence[RowScreen], copies: Mapping[CopyKind, Count], held_out: int
) -> ScreenRecord:
    """Returns the record; it has an entry for each kind, even if nothing was found."""
    rows = sum(screen.rows for screen in screens)
    findings = []
    for kind in PERSONAL_KINDS:
        accuracy = ACCURACY[kind]
        counts = [screen.counts[kind] for screen in screens]
        hits = sum(count.hits for count in counts)
        findings.append(
            FindingRecord(
                kind=kind,
                policy=config.personal(kind),
                rows=sum(count.rows for count in counts),
                hits=hits,
                per_thousand=_per_thousand(hits, rows),
                dropped=sum(count.dropped for count in counts),
                redacted=sum(count.redacted for count in counts),
                precision=round(accuracy.precision, 3),
                recall=round(accuracy.recall, 3),
                labelled=accuracy.labelled,
            )
        )
    for copy in COPY_KINDS:
        count = copies[copy]
        findings.append(
            FindingRecord(
                kind=copy,
                policy=config.copies(copy),
                rows=count.rows,
                hits=count.hits,
                per_thousand=_per_thousand(count.hits, rows),
                dropped=count.dropped,
            )
        )
    return ScreenRecord(rows=rows, held_out=held_out, phone_regions=list(config.phone_regions), findings=findings)


def _per_thousand(hits: int, rows: int) -> float:
    return round(1000 * hits / rows, 3) if rows else 0.0
