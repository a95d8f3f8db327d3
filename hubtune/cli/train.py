"""`hubtune train`: the data and train stages of a run."""

from pathlib import Path

import click

from hubtune.cli.options import run_argument
from hubtune.cli.output import Output


@click.command(short_help="Train again in a run directory.")
@run_argument
@click.option("--resume", is_flag=True, help="Resume from the run's newest complete checkpoint.")
@click.pass_obj
def train(output: Output, run: Path, resume: bool) -> None:
    """Train again in the run directory RUN, from its own config and pins.

    Without --resume it starts again, and removes the checkpoints of the training before.
    """
    from hubtune.pipeline.stages import resume_train, run_train
    from hubtune.records.rundir import RunDirectory

    record = (resume_train if resume else run_train)(RunDirectory.open(run), output.progress)
    output.result(
        record,
        [
            f"Loss: first {record.first_loss:.3f}, final {record.final_loss:.3f} in {record.steps} steps",
            f"Next: hubtune evaluate {run}",
        ],
    )
