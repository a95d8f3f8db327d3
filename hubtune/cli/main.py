"""The command line: the group, the global options, and the one place where errors become messages and exit codes."""

import logging
import os
import sys
import warnings

import click

from hubtune import __version__
from hubtune.cli.output import Output
from hubtune.errors import ConfigError, HubtuneError

_INTERRUPTED = 130


class _InOrder(click.Group):
    """Lists commands in the order in which one uses them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hubtune")
@click.option("--json", "as_json", is_flag=True, help="Print the command's record as one JSON document on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no talk; warnings and errors stay.")
@click.pass_context
def app(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """Turn a config file into a trustworthy fine-tuning release on the Hugging Face Hub."""
    ctx.obj = Output(as_json=as_json, quiet=quiet)


def _add_commands() -> None:
    from hubtune.cli import (
        card,
        check,
        compare,
        data,
        evaluate,
        generate,
        hub,
        init,
        license,
        merge,
        pin,
        publish,
        quickstart,
        rate,
        release,
        run,
        train,
        verify,
    )

    for command in (
        quickstart.quickstart,
        init.init,
        check.check,
        data.data,
        pin.pin,
        run.run,
        train.train,
        evaluate.evaluate,
        rate.rate,
        compare.compare,
        card.card,
        publish.publish,
        release.release,
        merge.merge,
        generate.generate,
        verify.verify,
        license.license_,
        hub.hub,
    ):
        app.add_command(command)


_add_commands()


def main() -> None:
    """Runs the command line; `hf hubtune` runs the same."""
    _quieten_libraries()
    as_json = "--json" in sys.argv[1:]
    try:
        code = app(prog_name="hubtune", standalone_mode=False)
    except HubtuneError as error:
        Output(as_json=as_json, quiet=False).error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if as_json:
            Output(as_json=True, quiet=False).error(ConfigError(error.format_message(), hint="hubtune --help"))
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. Finished stages are kept: the same command with --resume goes on.", err=True)
        sys.exit(_INTERRUPTED)
    except Exception:
        from hubtune.models.remote_code import any_permitted

        if any_permitted():
            click.echo(
                "This is a bug in the base model's own code, which was allowed to run, or in hubtune. If the last "
                "lines below are of a file in transformers_modules, it is the base's, whose code may be made for "
                "another version of transformers: choose another base, or tell its author. Else report them to "
                "hubtune.",
                err=True,
            )
        else:
            click.echo("This is a bug in hubtune. Please report it together with the lines below.", err=True)
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _quieten_libraries() -> None:
    # hubtune draws its own progress and says itself what went wrong; each of these can still be set by the user.
    for name, value in {
        "DATASETS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }.items():
        os.environ.setdefault(name, value)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
