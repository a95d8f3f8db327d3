"""`hubtune evaluate`: the evaluate stage of a run."""

from pathlib import Path

import click

from hubtune.cli.options import run_argument
from hubtune.cli.output import Output
from hubtune.cli.summary import measure_lines


@click.command(short_help="Measure base and tuned model of a run.")
@run_argument
@click.pass_obj
def evaluate(output: Output, run: Path) -> None:
    """Measure base and tuned model of the run directory RUN on its held-out rows."""
    from hubtune.pipeline.stages import run_evaluate
    from hubtune.records.rundir import RunDirectory

    record = run_evaluate(RunDirectory.open(run), output.progress)
    output.result(record, [*measure_lines(record), f"Next: hubtune card render {run}"])
