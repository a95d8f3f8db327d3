"""`hubtune quickstart`: the whole job on an embedded Hub."""

from pathlib import Path

import click

from hubtune.cli.options import on_hub
from hubtune.cli.output import Output
from hubtune.cli.summary import outcome_lines
from hubtune.files import file_errors


@click.command(short_help="The whole job on an embedded Hub, to see it work.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("hubtune-quickstart"),
    show_default=True,
    help="Where the embedded Hub, the config and the run are kept.",
)
@click.pass_obj
def quickstart(output: Output, folder: Path) -> None:
    """See the whole job: a real model, a small data set, an embedded Hub, a tagged release."""
    with file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with on_hub(folder):
        from hubtune.pipeline.quickstart import quickstart as run_quickstart

        outcome = run_quickstart(folder, output.progress)
        output.result(outcome.record, outcome_lines(outcome, folder))
