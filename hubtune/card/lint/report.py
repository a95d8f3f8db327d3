"""What a lint says: its findings, and how many there are of each severity."""

from typing import Literal

from hubtune.records.base import Record

Severity = Literal["error", "warning"]


class Finding(Record):
    """One finding.

    Attributes:
        rule: The rule's name, which stays the same between versions.
        line: Line of the card, from 1.
    """

    rule: str
    severity: Severity
    message: str
    line: int


class LintReport(Record):
    """All findings about one card, by line.

    Attributes:
        path: The card's file, where it is one on disk.
        repo: The card's repository, where it is one of the Hub; `commit` is where it was read.
    """

    path: str | None = None
    repo: str | None = None
    commit: str | None = None
    findings: list[Finding]
    errors: int
    warnings: int

    def to_json(self) -> str:
        """Returns the report as JSON, with the place that it is about alone."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"
