"""`hubtune card`: the model card."""

from pathlib import Path

import click

from hubtune.cli.options import run_argument
from hubtune.cli.output import Output
from hubtune.records.base import Record, sha256_file


class CardRecord(Record):
    """Where a card is, and its digest."""

    path: str
    sha256: str


@click.group()
def card() -> None:
    """The model card of a run."""


@card.command()
@run_argument
@click.pass_obj
def render(output: Output, run: Path) -> None:
    """Render README.md in the run directory RUN, from its records and its config's card section."""
    from hubtune.pipeline.stages import run_card
    from hubtune.records.rundir import RunDirectory

    directory = RunDirectory.open(run)
    run_card(directory)
    path = directory.card_file
    output.result(CardRecord(path=str(path), sha256=sha256_file(path)), [f"Card: {path}"])
