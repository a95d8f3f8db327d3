"""`hubtune release`: the releases of a repository, their tags, and what changed between two of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from hubtune.cli.card import change_lines, printable, show
from hubtune.cli.options import WholeNumber, hub_option, on_hub
from hubtune.cli.output import Output

if TYPE_CHECKING:
    from hubtune.metadata.versions import Bump
    from hubtune.records.release import ListedRelease, ReleaseList
    from hubtune.release.diff_record import LicenseSide, MeasureChange, PinChange, ReleaseDiff


repo_argument = click.argument("repo", metavar="REPO")


@click.group()
def release() -> None:
    """List, tag and compare releases."""


@release.command(name="list", short_help="List tags with their date, artifact and measures.")
@repo_argument
@click.option(
    "--limit", type=WholeNumber(min=1), default=30, show_default=True, help="Read at most this many releases."
)
@hub_option
@click.pass_obj
def list_(output: Output, repo: str, limit: int, hub: Path | None) -> None:
    """List the tags of REPO, newest version first, and show whether main has untagged commits."""
    with on_hub(hub):
        from hubtune.release.release_list import list_releases

        found = list_releases(repo, output.progress, most=limit)
        output.result(found, list_lines(found))


@release.command(short_help="Tag a commit as a release.")
@repo_argument
@click.argument("commit")
@click.argument("tag", required=False)
@click.option(
    "--bump", type=click.Choice(["patch", "minor", "major"]), help="Increase this part of the newest version."
)
@hub_option
@click.pass_obj
def tag(output: Output, repo: str, commit: str, tag: str | None, bump: "Bump | None", hub: Path | None) -> None:
    """Tag COMMIT of REPO, a full commit hash or a branch. An existing tag is never moved.

    If the commit's manifest names another tag, a new commit is created and tagged. Its files are the same, except that
    card, config and manifest name the new tag. Without TAG and --bump, the command only suggests a tag.
    """
    with on_hub(hub):
        from hubtune.release.tag import tag_release

        record = tag_release(repo, commit, tag, bump, output.progress)
        lines = [
            f"Repo:    {record.repo}",
            f"Tag:     {record.tag}",
            f"Commit:  {record.commit}",
            f"URL:     {record.url}",
        ]
        output.result(record, lines)


@release.command(short_help="Write release notes for the changes between two releases.")
@repo_argument
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@hub_option
@click.pass_obj
def notes(output: Output, repo: str, before: str, after: str, hub: Path | None) -> None:
    """Write Markdown release notes for the changes from release A to release B of REPO.

    A and B are tags, branches or commits.
    """
    with on_hub(hub):
        from hubtune.release.notes import write_notes

        written = write_notes(repo, before, after)
        output.result(written, written.markdown.rstrip("\n").split("\n"))


@release.command(short_help="Show all changes between two releases.")
@repo_argument
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@hub_option
@click.pass_obj
def diff(output: Output, repo: str, before: str, after: str, hub: Path | None) -> None:
    """Show the changes from release A to release B of REPO: inputs, settings, measures, license, files and card.

    A and B are tags, branches or commits.
    """
    with on_hub(hub):
        from hubtune.release.differences import diff_releases

        changes = diff_releases(repo, before, after)
        output.result(changes, diff_lines(changes))


_SHORT = 7
_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_ORDERS = {
    "same": "A and B are the same commit, so nothing changed.",
    "backward": "B is an older version than A.",
}


def list_lines(found: "ReleaseList") -> list[str]:
    """Returns a line for each tag, and where main is."""
    width = max((len(row.tag) for row in found.releases), default=0)
    rows = [line for row in found.releases for line in _row(row, width)]
    return [printable(line) for line in [*(rows or [f"{found.repo} has no tag yet."]), "", *_main(found)]]


def diff_lines(changes: "ReleaseDiff") -> list[str]:
    """Returns the differences of two releases as lines, a paragraph for each subject."""
    return [printable(line) for line in _differences(changes)]


def _row(row: "ListedRelease", width: int) -> Iterator[str]:
    measures = ", ".join(
        f"{one.name} {one.tuned:.4g}{f' (base {one.base:.4g})' if one.base is not None else ''}" for one in row.measures
    )
    date = (row.date or "")[:10]
    yield f"{row.tag:{width}}  {date:10}  {row.commit[:_SHORT]}  {row.artifact or '-':7}  {measures or '-'}".rstrip()
    if row.problem:
        yield f"{'':{width}}  ! {row.problem}"


def _main(found: "ReleaseList") -> Iterator[str]:
    if found.main is None:
        yield "There is no main branch."
        return
    on_it = ", ".join(found.main_tags)
    if on_it:
        yield f"main is on {found.main[:_SHORT]}, which is {on_it}."
        return
    least = "at least " if found.untagged_is_least else ""
    newest = "newest commit has" if found.untagged == 1 else f"{least}{found.untagged} newest commits have"
    yield f"main is on {found.main[:_SHORT]}; its {newest} no tag."


def _differences(changes: "ReleaseDiff") -> Iterator[str]:
    yield f"A: {changes.repo}@{changes.a.requested} ({changes.a.commit[:_SHORT]}, {changes.a.artifact})"
    yield f"B: {changes.repo}@{changes.b.requested} ({changes.b.commit[:_SHORT]}, {changes.b.artifact})"
    if changes.order in _ORDERS:
        yield _ORDERS[changes.order]
    yield from _part("Inputs", [_pin(pin) for pin in changes.pins])
    yield from _part("Settings", [f"~ {one.key}: {_change(one.before, one.after)}" for one in changes.settings])
    yield from _part("Measures", [_measure(one) for one in changes.measures])
    yield from _part("License", list(_license(changes)))
    yield from _part("Files", [f"{_MARKS[one.change]} {one.path}" for one in changes.files])
    yield from _part(
        "Environment",
        [f"~ {one.stage}: {one.name}: {_change(one.before, one.after)}" for one in changes.environment],
    )
    if changes.card is not None:
        yield from ("", "Card")
        # The first two lines name the sides, which is done.
        yield from (f"  {line}".rstrip() for line in change_lines(changes.card)[2:] if line)
    else:
        yield from _part("Card", [f"not compared: {changes.card_problem}"])


def _part(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield from ("", title, *(f"  {line}" for line in lines))


def _pin(pin: "PinChange") -> str:
    mark = "+" if pin.before is None else "-" if pin.after is None else "~"
    sides = (side.commit[:_SHORT] if side else "none" for side in (pin.before, pin.after))
    return f"{mark} {pin.kind} {pin.repo}: {' -> '.join(sides)}"


def _change(before: JsonValue, after: JsonValue) -> str:
    return f"{show(before)} -> {show(after)}"


def _measure(one: "MeasureChange") -> str:
    line = f"{one.name} on {one.split} rows: {_number(one.before)} -> {_number(one.after)}"
    if one.difference is not None:
        line += f" ({one.difference:+.4g}"
        line += f", 95% interval {one.interval[0]:+.4g} to {one.interval[1]:+.4g})" if one.interval else ")"
    return f"{line}: {one.verdict}, {one.reason}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _license(changes: "ReleaseDiff") -> Iterator[str]:
    licenses = changes.licenses
    if licenses.before != licenses.after:
        yield f"~ {_side(licenses.before)} -> {_side(licenses.after)}"
    yield from (f"+ {duty}" for duty in licenses.duties_added)
    yield from (f"- {duty}" for duty in licenses.duties_removed)


def _side(side: "LicenseSide") -> str:
    name = f" ({side.license_name})" if side.license_name else ""
    return f"{side.license or 'none'}{name}, {side.verdict}"
