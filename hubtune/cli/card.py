"""`hubtune card`: rendering and previewing model cards, checking any card, and comparing two."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from hubtune.cli.options import WholeNumber, run_argument
from hubtune.cli.output import Output
from hubtune.errors import CardFindingsError, ConfigError
from hubtune.records.base import Record, RepoType, sha256_file

if TYPE_CHECKING:
    from hubtune.card.diff import CardDiff, ComparedCard, ResultChange
    from hubtune.card.lint import LintReport
    from hubtune.pipeline.card_sources import RuleList


class CardRecord(Record):
    """Where a card is, and its digest."""

    path: str
    sha256: str


@click.group()
def card() -> None:
    """Render, preview, check and compare model cards."""


@card.command()
@run_argument
@click.pass_obj
def render(output: Output, run: Path) -> None:
    """Render README.md in the run directory RUN.

    The card is rendered from the records and the config's card section. A README.md that was edited by hand is kept as
    README.edited.md.
    """
    from hubtune.pipeline.context import RunContext
    from hubtune.pipeline.stages import renew_card

    context = RunContext.open(run, output.progress)
    renew_card(context)
    path = context.run.card_file
    output.result(CardRecord(path=str(path), sha256=sha256_file(path)), [f"Card: {path}"])


@card.command()
@click.argument("folder", metavar="RUN|FOLDER", type=click.Path(path_type=Path))
@click.option("--port", type=WholeNumber(0, 65535), default=0, show_default=True, help="Port; 0 selects a free one.")
@click.option(
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one self-contained HTML file instead of serving.",
)
@click.pass_obj
def preview(output: Output, folder: Path, port: int, file: Path | None) -> None:
    """Preview README.md of a run directory or any folder, as the Hub shows it. Press Ctrl-C to stop."""
    from hubtune.pipeline.page_server import serve_preview, write_preview

    if file is not None:
        write_preview(folder, file)
        output.result(CardRecord(path=str(file), sha256=sha256_file(file)), [f"Preview: {file}"])
        return

    def announce(address: str) -> None:
        output.progress.say(f"The card is at {address} (press Ctrl-C to stop; reload the page after a change).")

    serve_preview(folder, port=port, on_ready=announce)


type_option = click.option(
    "--type",
    "kind",
    type=click.Choice(["model", "dataset"]),
    help="Type of a card on disk, if its metadata does not state it.",
)


@card.command()
@click.argument("source", metavar="REPO|FOLDER", required=False)
@type_option
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--offline", is_flag=True, help="Do not ask the Hub for the licenses of the base model and the datasets.")
@click.option("--list-rules", is_flag=True, help="List all rules.")
@click.pass_obj
def lint(
    output: Output, source: str | None, kind: RepoType | None, strict: bool, offline: bool, list_rules: bool
) -> int:
    """Check any model or dataset card, on the Hub or on disk.

    REPO is org/name or datasets/org/name, with @TAG or @COMMIT if not main. FOLDER contains a README.md, or is the
    card file itself. The exit code is 0 if there are no errors.
    """
    from hubtune.pipeline.card_sources import lint_named, list_of_rules

    if list_rules:
        rules = list_of_rules()
        output.result(rules, rule_lines(rules))
        return 0
    if source is None:
        raise ConfigError(
            "No card to check was given.", hint="Name a repository or a folder: hubtune card lint org/name"
        )
    report = lint_named(source, kind=kind, offline=offline)
    output.result(report, finding_lines(report))
    failed = report.errors > 0 or (strict and report.warnings > 0)
    return CardFindingsError.exit_code if failed else 0


@card.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.pass_obj
def diff(output: Output, before: str, after: str) -> None:
    """Show the changes from card A to card B: metadata, results and sections.

    Each is org/name@TAG (or @COMMIT), a run directory, a folder with a README.md, or the card file itself.
    """
    from hubtune.pipeline.card_sources import diff_named

    changes = diff_named(before, after)
    output.result(changes, change_lines(changes))


_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def change_lines(changes: "CardDiff") -> list[str]:
    """Returns the differences as lines: metadata, results, then each section's unified diff."""
    return [printable(line) for line in _lines(changes)]


def _lines(changes: "CardDiff") -> Iterator[str]:
    yield f"A: {_side(changes.a)}"
    yield f"B: {_side(changes.b)}"
    if changes.metadata:
        yield from ("", "Metadata")
    for entry in changes.metadata:
        shown = {
            "added": show(entry.after),
            "removed": show(entry.before),
            "changed": f"{show(entry.before)} -> {show(entry.after)}",
        }[entry.change]
        yield f"  {_MARKS[entry.change]} {entry.key}: {shown}"
    if changes.results:
        yield from ("", "Results")
    yield from (f"  {_result(result)}" for result in changes.results)
    if changes.sections:
        yield from ("", "Sections")
    for section in changes.sections:
        yield f"  {_MARKS[section.change]} {section.title or '(before the first heading)'}"
        yield from (f"      {line}" for line in section.diff)
    if not (changes.metadata or changes.sections or any(one.before != one.after for one in changes.results)):
        yield from ("", "The cards say the same.")


def _result(result: "ResultChange") -> str:
    line = f"{result.metric} on {result.dataset}: {show(result.before)} -> {show(result.after)}"
    if isinstance(result.before, int | float) and isinstance(result.after, int | float):
        return f"{line} ({result.after - result.before:+.4g})"
    return line


def show(value: JsonValue) -> str:
    """Returns a value as it is in a line of changes."""
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _side(card: "ComparedCard") -> str:
    return card.path or f"{card.repo}@{card.commit}"


def printable(line: str) -> str:
    """Returns a line without what a terminal acts upon."""
    return "".join(character if character.isprintable() else " " for character in line)


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
