"""`hubtune init`: a first config."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub
from hubtune.cli.output import Output
from hubtune.config.load import DEFAULT_CONFIG


@click.command(short_help="Write a first hubtune.yaml.")
@click.argument("dataset")
@click.argument("base")
@hub_option
@click.pass_obj
def init(output: Output, dataset: str, base: str, hub: Path | None) -> None:
    """Look at the columns of DATASET and write a commented hubtune.yaml that tunes BASE on it.

    Its JSON schema, hubtune.schema.json, is written beside it: with it editors complete and check the config.
    """
    with on_hub(hub):
        from hubtune.pipeline.starting import start_config

        record = start_config(dataset, base, DEFAULT_CONFIG, output.progress)
        output.result(
            record,
            [
                f"Wrote {record.config}: the columns {', '.join(record.columns)} of {dataset} ({record.split}) as "
                f"{record.format}.",
                f"Wrote {record.schema_file}: with it editors complete and check the config.",
                "Next: hubtune data show",
            ],
        )
