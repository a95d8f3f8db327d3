"""`hubtune train` and `hubtune publish`: single stages of a run."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub, run_argument, target_options
from hubtune.cli.output import Output
from hubtune.cli.run import plan_lines, release_lines
from hubtune.config.target import TargetOptions


@click.command(short_help="Train again in a run directory.")
@run_argument
@click.option("--resume", is_flag=True, help="Resume from the newest complete checkpoint of the run.")
@click.pass_obj
def train(output: Output, run: Path, resume: bool) -> None:
    """Train again in the run directory RUN, with its config and pins.

    Without --resume, training starts from the beginning and earlier checkpoints are deleted.
    """
    from hubtune.pipeline.context import RunContext
    from hubtune.pipeline.stages import resume_train, run_train

    record = (resume_train if resume else run_train)(RunContext.open(run, output.progress))
    output.result(
        record,
        [
            f"Loss: first {record.first_loss:.3f}, final {record.final_loss:.3f} in {record.steps} steps",
            f"Next: hubtune evaluate {run}",
        ],
    )


@click.command(short_help="Publish a run as one tagged commit.")
@run_argument
@click.option("--push", "repo", metavar="REPO", help="Target repository; overrides publish.repo.")
@target_options
@click.option(
    "--counterpart",
    is_flag=True,
    help="Publish the other artifact to publish.counterpart: merged weights of an adapter, or the reverse.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be uploaded, changed and deleted; change nothing.")
@hub_option
@click.pass_obj
def publish(output: Output, run: Path, target: TargetOptions, dry_run: bool, hub: Path | None) -> None:
    """Publish the run directory RUN: push one commit, read it back, then tag it.

    Publishing the same run again changes nothing.
    """
    with on_hub(hub):
        from hubtune.pipeline.context import RunContext

        context = RunContext.open(run, output.progress)
        if dry_run:
            from hubtune.pipeline.planning import plan_run

            plan = plan_run(context, target)
            output.result(plan, plan_lines(plan))
            return
        from hubtune.pipeline.stages import run_publish

        record = run_publish(context, target)
        output.result(record, release_lines(record))
