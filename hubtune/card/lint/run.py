"""Runs all rules on a card: decodes it, parses it, and collects the findings."""

from collections.abc import Iterator
from pathlib import Path

from hubtune.card.lint import rules
from hubtune.card.lint.card import MOST_BYTES, Card, CardSource, read_card, read_folder
from hubtune.card.lint.registry import Finding, Hit, LintReport, Rule, all_rules
from hubtune.card.markdown import one_line
from hubtune.records.base import RepoType

assert rules, "importing the rules registers them"

_MOST_HITS = 50
_LONGEST_MESSAGE = 400


def lint_source(source: CardSource) -> LintReport:
    """Checks a card with everything that is known about its repository. Every input gives a report."""
    findings = sorted(_findings(source), key=lambda finding: (finding.line, finding.rule, finding.message))
    errors = sum(finding.severity == "error" for finding in findings)
    return LintReport(
        path=source.path,
        repo=source.repo,
        commit=source.commit,
        findings=findings,
        errors=errors,
        warnings=len(findings) - errors,
    )


def lint_text(text: str, kind: RepoType | None = None) -> LintReport:
    """Checks a card without its repository, so files and licenses are not checked."""
    return lint_source(CardSource(text.encode(errors="surrogatepass"), kind))


def lint_folder(path: Path, kind: RepoType | None = None) -> LintReport:
    """Checks the card of a folder, or a card's file, with the files next to it; asks no Hub.

    Raises:
        CardError: There is no card.
    """
    return lint_source(read_folder(path, kind))


def findings_of(card: Card, chosen: list[Rule]) -> Iterator[Finding]:
    """Yields the findings of some rules in a card."""
    for rule in chosen:
        hits = sorted(set(rule.check(card)), key=lambda hit: hit.line)
        yield from (_finding(rule, hit) for hit in hits[:_MOST_HITS])
        if len(hits) > _MOST_HITS:
            more = f"and {len(hits) - _MOST_HITS} more of this kind"
            yield _finding(rule, Hit(hits[_MOST_HITS].line, more, hits[_MOST_HITS].severity))


def _findings(source: CardSource) -> Iterator[Finding]:
    if len(source.content) > MOST_BYTES:
        yield Finding(
            rule=rules.TOO_LARGE.id,
            severity=rules.TOO_LARGE.severity,
            message=f"the card is larger than {MOST_BYTES:,} bytes, so nothing else was checked",
            line=1,
        )
        return
    try:
        text = source.content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.content.count(b"\n", 0, error.start) + 1
        yield Finding(
            rule=rules.NOT_UTF8.id,
            severity=rules.NOT_UTF8.severity,
            message=f"byte {error.start} is not UTF-8, so nothing else was checked",
            line=line,
        )
        return
    yield from findings_of(read_card(source, text), all_rules())


def _finding(rule: Rule, hit: Hit) -> Finding:
    message = one_line(hit.message)
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[: _LONGEST_MESSAGE - 1]}…"
    return Finding(rule=rule.id, severity=hit.severity or rule.severity, message=message, line=max(1, hit.line))
