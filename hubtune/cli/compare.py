"""`hubtune compare`: two runs or releases side by side."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub
from hubtune.cli.output import Output
from hubtune.cli.summary import comparison_lines


@click.command(short_help="Set two runs or releases side by side.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@hub_option
@click.pass_obj
def compare(output: Output, a: str, b: str, hub: Path | None) -> None:
    """Compare the tuned models of A and B, each a run directory or a release REPO@TAG, measure by measure.

    Values that were not measured alike, on the same rows, are shown without a difference, and with the reason.
    """
    with on_hub(hub):
        from hubtune.pipeline.comparing import compare as compare_named

        record = compare_named(a, b)
    output.result(record, comparison_lines(record))
