"""`hubtune pin`: the lock."""

from pathlib import Path

import click

from hubtune.cli.options import config_argument, hub_option, on_hub, set_option
from hubtune.cli.output import Output
from hubtune.config.load import load_config


@click.command(short_help="Write hubtune.lock.")
@config_argument
@click.option("--upgrade", is_flag=True, help="Ask the Hub again for every entry, including those in the lock.")
@hub_option
@set_option
@click.pass_obj
def pin(output: Output, config: Path, upgrade: bool, hub: Path | None, overrides: tuple[str, ...]) -> None:
    """Write hubtune.lock: the commit that each input's revision means, and fetch those commits."""
    settings = load_config(config, overrides)
    with on_hub(hub):
        from hubtune.pipeline.pinning import pin_inputs

        pins = pin_inputs(settings, config, output.progress, upgrade=upgrade)
        output.result(pins, [f"{entry.repo}  {entry.requested} is {entry.commit}" for entry in pins.all()])
