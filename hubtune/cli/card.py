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
    """The model card: render it, and see it as the Hub would show it."""


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


@card.command()
@click.argument("folder", metavar="RUN|FOLDER", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option(
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one HTML file with everything in it, and serve nothing.",
)
@click.pass_obj
def preview(output: Output, folder: Path, port: int, file: Path | None) -> None:
    """Show README.md of a run directory, or of any folder, as the Hub would, until Ctrl-C."""
    from hubtune.pipeline.preview import serve_preview, write_preview

    if file is not None:
        write_preview(folder, file)
        output.result(CardRecord(path=str(file), sha256=sha256_file(file)), [f"Preview: {file}"])
        return

    def announce(address: str) -> None:
        output.progress.say(f"The card is at {address} (Ctrl-C ends it; reload the page after a change).")

    serve_preview(folder, port=port, on_ready=announce)
