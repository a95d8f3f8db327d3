"""`hubtune config`: the keys of a config, for people and for editors."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub
from hubtune.cli.output import Output
from hubtune.config.load import DEFAULT_CONFIG
from hubtune.records.base import Record


class KeyRecord(Record):
    """A key of the config; `default` is null if the key has to be given, and empty if it is left out."""

    path: str
    values: str
    default: str | None
    description: str


class ReferenceRecord(Record):
    """All keys of the config."""

    keys: list[KeyRecord]


@click.group(short_help="Show the keys of a config.")
def config() -> None:
    """Show the keys of a config, as a reference or a JSON schema."""


@config.command(short_help="Print the JSON schema of hubtune.yaml.")
@click.pass_obj
def schema(output: Output) -> None:
    """Print the JSON schema of hubtune.yaml, which lets editors complete, explain and check its keys.

    Save it next to the config as hubtune.schema.json, and begin the config with this line, as hubtune init does:

    # yaml-language-server: $schema=./hubtune.schema.json
    """
    from hubtune.config.reference import schema_text

    output.document(schema_text())


@config.command(short_help="Print every key with its default and meaning.")
@click.pass_obj
def reference(output: Output) -> None:
    """Print every key of a config with its values, default and meaning, as Markdown."""
    from hubtune.config.reference import config_keys, reference

    keys = [
        KeyRecord(path=key.path, values=key.values, default=key.default, description=key.description)
        for key in config_keys().values()
    ]
    output.result(ReferenceRecord(keys=keys), reference().splitlines())


@click.command(short_help="Write a hubtune.yaml for a dataset and a base model.")
@click.argument("dataset")
@click.argument("base")
@hub_option
@click.pass_obj
def init(output: Output, dataset: str, base: str, hub: Path | None) -> None:
    """Inspect the columns of DATASET and write a commented hubtune.yaml that fine-tunes BASE on it.

    The JSON schema hubtune.schema.json is written next to it, so that editors can complete and check the config.
    """
    with on_hub(hub):
        from hubtune.pipeline.init import start_config

        record = start_config(dataset, base, DEFAULT_CONFIG, output.progress)
        output.result(
            record,
            [
                f"Wrote {record.config}: the columns {', '.join(record.columns)} of {dataset} ({record.split}) as "
                f"{record.format}.",
                f"Wrote {record.schema_file}, with which editors can complete and check the config.",
                "Next: hubtune data show",
            ],
        )
