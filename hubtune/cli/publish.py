"""`hubtune publish`: the publish stage of a run."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub, run_argument, tag_option
from hubtune.cli.output import Output


@click.command(short_help="Publish a run: one commit and its tag.")
@run_argument
@click.option("--push", "repo", metavar="REPO", help="The repository; wins over the config's publish.repo.")
@tag_option
@hub_option
@click.pass_obj
def publish(output: Output, run: Path, repo: str | None, tag: str | None, hub: Path | None) -> None:
    """Publish the run directory RUN: one commit, read back, then its tag. Doing it twice changes nothing."""
    with on_hub(hub):
        from hubtune.pipeline.stages import run_publish
        from hubtune.records.rundir import RunDirectory

        record = run_publish(RunDirectory.open(run), output.progress, repo=repo, tag=tag)
        output.result(
            record,
            [
                f"Repo:    {record.repo}",
                f"Tag:     {record.tag}",
                f"Commit:  {record.commit}",
                f"URL:     {record.url}",
            ],
        )
