"""`hubtune publish`: the publish stage of a run."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub, run_argument, target_options
from hubtune.cli.output import Output
from hubtune.cli.summary import plan_lines, release_lines
from hubtune.config.target import TargetOptions


@click.command(short_help="Publish a run: one commit and its tag.")
@run_argument
@click.option("--push", "repo", metavar="REPO", help="The repository; wins over the config's publish.repo.")
@target_options
@click.option(
    "--counterpart",
    is_flag=True,
    help="Publish the other kind of artifact, to publish.counterpart: merged weights for an adapter, or the reverse.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be sent, changed and deleted; change nothing.")
@hub_option
@click.pass_obj
def publish(output: Output, run: Path, target: TargetOptions, dry_run: bool, hub: Path | None) -> None:
    """Publish the run directory RUN: one commit, read back, then its tag. Doing it twice changes nothing."""
    with on_hub(hub):
        from hubtune.records.rundir import RunDirectory

        if dry_run:
            from hubtune.pipeline.planning import plan_run

            plan = plan_run(RunDirectory.open(run), output.progress, target)
            output.result(plan, plan_lines(plan))
            return
        from hubtune.pipeline.stages import run_publish

        record = run_publish(RunDirectory.open(run), output.progress, target)
        output.result(record, release_lines(record))
