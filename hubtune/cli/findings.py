"""What a person sees of a lint: a line for each finding, and the count."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubtune.card.lint import LintReport
    from hubtune.pipeline.card_sources import RuleList


def finding_lines(report: "LintReport") -> list[str]:
    """Returns a line for each finding, as linters print them, and one with the count."""
    where = report.path or f"{report.repo}@{(report.commit or '')[:7]}"
    lines = [f"{where}:{one.line}: {one.severity} {one.rule}: {one.message}" for one in report.findings]
    counts = f"{_count(report.errors, 'error')}, {_count(report.warnings, 'warning')}"
    return [*lines, "", f"{counts} in {where}"] if lines else [f"Nothing found in {where}"]


def rule_lines(rules: "RuleList") -> list[str]:
    """Returns a line for each rule."""
    width = max(len(rule.id) for rule in rules.rules)
    return [f"{rule.id:{width}}  {rule.severity:7}  {rule.summary}" for rule in rules.rules]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
