"""`hubtune check` and `hubtune pin`: what can be checked and fixed before training."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import config_argument, hub_option, locked_option, on_hub, set_option
from hubtune.cli.output import Output
from hubtune.config.load import load_config
from hubtune.config.schema import TuneConfig

if TYPE_CHECKING:
    from hubtune.pipeline.context import RunOptions

_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


@click.command(short_help="Check a config, its inputs and its target before training.")
@config_argument
@locked_option
@hub_option
@set_option
@click.pass_obj
def check(output: Output, config: Path, locked: bool, hub: Path | None, overrides: tuple[str, ...]) -> None:
    """Check CONFIG, access to its inputs, licenses, the release target and disk space, without training."""
    settings = load_config(config, overrides)
    with on_hub(hub):
        from hubtune.pipeline.context import RunOptions

        options = RunOptions(publish=settings.publish.repo is not None, locked=locked)
        show_checks(output, settings, config, options)


def show_checks(
    output: Output, settings: TuneConfig, config: Path, options: "RunOptions", *, dry_run: bool = False
) -> None:
    """Prints every finding, then raises what was wrong, if anything was; the config's target only if it publishes."""
    from hubtune.pipeline.check import check_run

    checks = check_run(settings, config, options, output.progress)
    lines = [f"{_MARKS[finding.status]}  {finding.check}: {finding.detail}" for finding in checks.findings]
    if dry_run and not checks.failures:
        verb = "propose" if options.propose else "publish"
        release = f", {verb} to {settings.publish.repo} as {settings.publish.tag}" if options.publish else ""
        lines += [
            "",
            f"A run would download the inputs, train, evaluate, render the card{release}. Nothing was written.",
        ]
    output.result(checks.report, lines)
    if output.as_json and checks.failures:
        # The report is the one document; it holds the faults.
        raise click.exceptions.Exit(checks.exit_code)
    checks.require_ok()


@click.command(short_help="Pin the inputs to commits in hubtune.lock.")
@config_argument
@click.option("--upgrade", is_flag=True, help="Resolve every revision again, including those in the lock.")
@hub_option
@set_option
@click.pass_obj
def pin(output: Output, config: Path, upgrade: bool, hub: Path | None, overrides: tuple[str, ...]) -> None:
    """Write hubtune.lock with the commit of each input's revision, and download these commits."""
    settings = load_config(config, overrides)
    with on_hub(hub):
        from hubtune.pipeline.run import pin_inputs

        pins = pin_inputs(settings, config, output.progress, upgrade=upgrade)
        output.result(pins, [f"{entry.repo}  {entry.requested} is {entry.commit}" for entry in pins.all()])
