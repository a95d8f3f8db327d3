"""`hubtune run`: the whole job."""

from dataclasses import replace
from pathlib import Path

import click

from hubtune.cli.options import config_argument, hub_option, locked_option, on_hub, set_option, target_options
from hubtune.cli.output import Output
from hubtune.cli.summary import outcome_lines
from hubtune.config.load import load_config
from hubtune.config.schema import TuneConfig
from hubtune.config.target import TargetOptions
from hubtune.errors import ConfigError

# What `--push` alone means: the repository of the config.
_FROM_CONFIG = ""


@click.command(short_help="The whole job of a config.")
@config_argument
@click.option(
    "--push", metavar="[REPO]", is_flag=False, flag_value=_FROM_CONFIG, help="Publish to REPO (publish.repo)."
)
@target_options
@click.option(
    "--resume",
    is_flag=True,
    help="Resume the newest run of this config, from its newest stage or checkpoint.",
)
@locked_option
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, and stop.")
@hub_option
@click.option("--run-dir", type=click.Path(file_okay=False, path_type=Path), help="The run's folder (runs/<time>).")
@set_option
@click.pass_obj
def run(
    output: Output,
    config: Path,
    push: str | None,
    target: TargetOptions,
    resume: bool,
    locked: bool,
    dry_run: bool,
    hub: Path | None,
    run_dir: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Run the whole job of CONFIG: pin, train, evaluate, write the card; with --push, publish."""
    settings = _settings(config, push, target, overrides)
    with on_hub(hub):
        if dry_run:
            from hubtune.cli.check import show_checks

            show_checks(
                output, settings, config, locked=locked, target=target if push is not None else None, dry_run=True
            )
            return
        from hubtune.pipeline.run import RunOptions, run_job

        options = RunOptions(
            publish=push is not None, propose=target.propose, resume=resume, locked=locked, run_dir=run_dir
        )
        outcome = run_job(settings, config, options, output.progress)
        output.result(outcome.record, outcome_lines(outcome, hub))


def _settings(config: Path, push: str | None, target: TargetOptions, overrides: tuple[str, ...]) -> TuneConfig:
    if push and Path(push).is_file():
        raise ConfigError(
            f"--push took {push}, which is a file, for the repository.",
            hint=f"Put the config first: hubtune run {push} --push",
        )
    if target.propose and push is None:
        raise ConfigError("--create-pr is for a run that is published.", hint="Add --push, or leave --create-pr out.")
    target = replace(target, repo=push or None)
    settings = load_config(config, [*overrides, *target.overrides])
    target.require_fit(settings)
    if push is not None and settings.publish.repo is None:
        raise ConfigError(
            "--push was given, and there is no repository to publish to.",
            hint="Set `publish.repo` in the config, or name one: --push namespace/name",
        )
    return settings
