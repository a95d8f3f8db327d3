"""The command line: the group of all commands and its global options."""

from collections.abc import Sequence

import click

from hubtune import __version__
from hubtune.cli.output import Output
from hubtune.errors import advise_by


class _InOrder(click.Group):
    """Lists commands in the order in which one uses them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hubtune")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="Hide progress and messages, but not warnings and errors.")
@click.option("--traceback", is_flag=True, help="Show the Python traceback of an error.")
@click.pass_context
def app(ctx: click.Context, as_json: bool, quiet: bool, traceback: bool) -> None:  # noqa: ARG001 - `main` looks for it
    """Turn a config file into a trustworthy fine-tuning release on the Hugging Face Hub."""
    ctx.obj = Output(as_json=as_json, quiet=quiet)


def _add_commands() -> None:
    from hubtune.cli import (
        card,
        config,
        data,
        evaluate,
        generate,
        hub,
        license,
        merge,
        rate,
        release,
        run,
        sweep,
        verify,
    )

    for command in (
        run.quickstart,
        config.init,
        config.config,
        run.check,
        data.data,
        run.pin,
        run.run,
        run.job,
        run.train,
        sweep.sweep,
        evaluate.evaluate,
        rate.rate,
        evaluate.compare,
        card.card,
        run.publish,
        release.release,
        merge.merge,
        generate.generate,
        verify.verify,
        license.license_,
        hub.hub,
    ):
        app.add_command(command)


_add_commands()


def command_of(arguments: Sequence[str]) -> click.Command:
    """Returns the command that the arguments call, the last group of them if they call none."""
    command: click.Command = app
    for word in arguments:
        if not isinstance(command, click.Group):
            break
        if not word.startswith("-"):
            command = command.commands.get(word, command)
    return command


def _running_has(option: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is None or has_option(context.command, option)


advise_by(_running_has)


def has_option(command: click.Command, option: str) -> bool:
    """Whether a command has an option, such as `--resume`."""
    return any(option in parameter.opts for parameter in command.params if isinstance(parameter, click.Option))
