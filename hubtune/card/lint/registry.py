"""The list of rules: each is a function with a stable name, a default severity, and a docstring about a good card."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from hubtune.card.lint.card import Card
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
        path: The card's file, if it is one on disk.
        repo: The card's repository, if it is one of the Hub; `commit` is where it was read.
    """

    path: str | None = None
    repo: str | None = None
    commit: str | None = None
    findings: list[Finding]
    errors: int
    warnings: int

    def to_json(self) -> str:
        """Returns the report as JSON, with only the place that applies."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"


@dataclass(frozen=True)
class Hit:
    """One hit of a rule.

    Attributes:
        severity: Where it is not the rule's usual one.
    """

    line: int
    message: str
    severity: Severity | None = None


Check = Callable[[Card], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """One rule; `summary` describes a card that passes, in one line."""

    id: str
    severity: Severity
    summary: str
    check: Check


_RULES: dict[str, Rule] = {}


def rule(id: str, severity: Severity = "error") -> Callable[[Check], Check]:
    """Registers a function as a rule; the first line of its docstring becomes the summary.

    Raises:
        ValueError: The name is taken.
    """

    def register(check: Check) -> Check:
        add_rule(Rule(id, severity, (check.__doc__ or "").partition("\n")[0].strip(), check))
        return check

    return register


def add_rule(new: Rule) -> None:
    """Registers a rule.

    Raises:
        ValueError: The name is taken.
    """
    if new.id in _RULES:
        raise ValueError(f"there are two rules {new.id}")
    _RULES[new.id] = new


def all_rules() -> list[Rule]:
    """Returns every rule, by name."""
    return sorted(_RULES.values(), key=lambda rule: rule.id)
