"""`hubtune release`: the releases of a repository, their tags, and what changed between two of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import WholeNumber, hub_option, on_hub
from hubtune.cli.output import Output

if TYPE_CHECKING:
    from hubtune.pipeline.releasing.versions import Bump

repo_argument = click.argument("repo", metavar="REPO")


@click.group()
def release() -> None:
    """List releases, tag one, and tell what changed between two."""


@release.command(name="list", short_help="Every tag with its date, artifact and measures.")
@repo_argument
@click.option(
    "--limit", type=WholeNumber(min=1), default=30, show_default=True, help="Read at most this many releases."
)
@hub_option
@click.pass_obj
def list_(output: Output, repo: str, limit: int, hub: Path | None) -> None:
    """List the tags of REPO, the newest version first, and whether main has commits without a tag."""
    from hubtune.cli.release_lines import list_lines

    with on_hub(hub):
        from hubtune.pipeline.releasing.listing import list_releases

        found = list_releases(repo, output.progress, most=limit)
        output.result(found, list_lines(found))


@release.command(short_help="Give a commit its tag.")
@repo_argument
@click.argument("commit")
@click.argument("tag", required=False)
@click.option(
    "--bump", type=click.Choice(["patch", "minor", "major"]), help="Raise this part of the newest version for the tag."
)
@hub_option
@click.pass_obj
def tag(output: Output, repo: str, commit: str, tag: str | None, bump: "Bump | None", hub: Path | None) -> None:
    """Tag COMMIT of REPO: all 40 digits, or a branch, which is looked up once. A tag is never moved.

    Where the commit's manifest names another tag, one commit beside it gets the tag: the same files, but for card,
    config and manifest, which name the new tag. Without TAG and --bump, nothing is written, and the tag that fits what
    changed is named.
    """
    with on_hub(hub):
        from hubtune.pipeline.releasing.tagging import tag_release

        record = tag_release(repo, commit, tag, bump, output.progress)
        lines = [
            f"Repo:    {record.repo}",
            f"Tag:     {record.tag}",
            f"Commit:  {record.commit}",
            f"URL:     {record.url}",
        ]
        output.result(record, lines)


@release.command(short_help="What changed between two releases, as release notes.")
@repo_argument
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@hub_option
@click.pass_obj
def notes(output: Output, repo: str, before: str, after: str, hub: Path | None) -> None:
    """Write Markdown release notes for release B of REPO, about what changed since release A.

    A and B are tags, branches or commits.
    """
    with on_hub(hub):
        from hubtune.pipeline.releasing.notes import write_notes

        written = write_notes(repo, before, after)
        output.result(written, written.markdown.rstrip("\n").split("\n"))


@release.command(short_help="What changed between two releases, in full.")
@repo_argument
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@hub_option
@click.pass_obj
def diff(output: Output, repo: str, before: str, after: str, hub: Path | None) -> None:
    """Show what changed from release A to release B of REPO: inputs, settings, measures, licence, files and card.

    A and B are tags, branches or commits.
    """
    from hubtune.cli.release_lines import diff_lines

    with on_hub(hub):
        from hubtune.pipeline.releasing.differences import diff_releases

        changes = diff_releases(repo, before, after)
        output.result(changes, diff_lines(changes))
