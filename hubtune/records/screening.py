"""What screening the rows found and what was done about it: counts alone, never a value."""

from hubtune.config.screening import PersonalPolicy, ScreenKind
from hubtune.records.base import Record


class FindingRecord(Record):
    """One kind of finding.

    Attributes:
        rows: Rows where it was found. For contamination: held-out rows that rows to train on repeat.
        hits: Findings; a row can have several. For contamination: rows to train on that repeat held-out ones.
        per_thousand: Hits for each 1,000 rows that were screened.
        dropped: Rows that were left out for it.
        redacted: Hits that a placeholder took the place of.
        precision: Share of right findings on labelled texts written after the detector; null where there is none, but
            a definition.
        recall: Share of the labelled values that it finds there.
        labelled: Values in that set.
    """

    kind: ScreenKind
    policy: PersonalPolicy
    rows: int
    hits: int
    per_thousand: float
    dropped: int
    redacted: int = 0
    precision: float | None = None
    recall: float | None = None
    labelled: int | None = None


class ScreenRecord(Record):
    """The screening of a run's rows.

    Attributes:
        rows: Rows that were looked at: all that could be used.
        held_out: Those of them that are held out and were compared with the rows to train on.
        phone_regions: Whose national telephone numbers were looked for.
        findings: One for each kind that was looked for, also where nothing was found.
    """

    rows: int
    held_out: int | None = None
    phone_regions: list[str]
    findings: list[FindingRecord]
