"""Options and arguments that several commands share, each declared once."""

import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from hubtune.config.fields import PUBLIC_HUB, check_commit, require_endpoint
from hubtune.config.load import TargetOptions
from hubtune.errors import ConfigError


class WholeNumber(click.IntRange):
    """A whole number between bounds; click's own calls itself an integer range in messages."""

    name = "whole number"


class NamedRelease(NamedTuple):
    """A repository and the revision of it that a user named."""

    repo: str
    revision: str


def named_release(value: str) -> NamedRelease:
    """Returns the release that a user names.

    Raises:
        click.BadParameter: It has no revision.
    """
    repo, _, revision = value.partition("@")
    if not repo or not revision:
        raise click.BadParameter(f"{value!r} has no revision: write REPO@TAG, such as org/model@v1.0.0.")
    return NamedRelease(repo, revision)


def _split_release(_ctx: click.Context, _param: click.Parameter, value: str) -> NamedRelease:
    return named_release(value)


def _check_commit(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else check_commit(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


release_argument = click.argument("release", metavar="REPO@TAG", callback=_split_release)
config_argument = click.argument(
    "config", type=click.Path(dir_okay=False, path_type=Path), default=Path("hubtune.yaml"), required=False
)
run_argument = click.argument("run", type=click.Path(path_type=Path))
set_option = click.option(
    "-s",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a config key, such as -s train.epochs=3; repeatable.",
)
hub_option = click.option(
    "--hub",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Use an embedded Hub in DIR instead of the Hub at HF_ENDPOINT.",
)
code_option = click.option(
    "--allow-remote-code",
    metavar="COMMIT",
    callback=_check_commit,
    help="Allow Python code from the base model's repository at this commit.",
)
locked_option = click.option(
    "--locked", is_flag=True, help="Fail unless hubtune.lock matches the config, and use only its commits."
)
launch_option = click.option(
    "--launch",
    metavar="COMMAND",
    help='Use the processes of this launcher, such as "accelerate launch --num_processes 2" or "torchrun ...".',
)
launched_option = click.option(
    "--launched",
    type=click.Path(path_type=Path),
    hidden=True,
    help="What a process of a launcher is given: the folder where the command that started the launcher looks.",
)

_TARGET_OPTIONS = (
    click.option("--tag", metavar="TAG", help="Tag of the release, such as v1.0.0; overrides publish.tag."),
    click.option(
        "--branch", metavar="NAME", help="Commit to this branch, created from main; overrides publish.branch."
    ),
    click.option("--message", metavar="TEXT", help="Commit message; overrides publish.message."),
    click.option("--private", is_flag=True, help="Create the repository as private; overrides publish.private."),
    click.option("--create-pr", "propose", is_flag=True, help="Open a pull request; do not push to the branch or tag."),
)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds what every command that publishes takes; with its `repo` and `counterpart` it comes as one `target`."""

    @functools.wraps(command)
    def with_one_target(*args: Any, **options: Any) -> None:
        given = {name: options.pop(name) for name in ("tag", "branch", "message", "private", "propose")}
        own = {"repo": options.pop("repo", None), "counterpart": options.pop("counterpart", False)}
        command(*args, target=TargetOptions(**own, **given), **options)

    for option in reversed(_TARGET_OPTIONS):
        with_one_target = option(with_one_target)
    return with_one_target


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)")
_WHEEL = re.compile(r"https?://[^\s@?#/]+/[^\s@?#]+\.whl")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = _DURATION.fullmatch(value)
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if seconds < 1:
        raise click.BadParameter(f"{value!r} is not a duration: give a number with s, m, h or d, such as 90m or 2h.")
    return int(seconds)


def _wheel(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _WHEEL.fullmatch(value):
        raise click.BadParameter(
            "give the address of a .whl file, without a user, a password or a query: others can read what a job is "
            "called with."
        )
    return value


def _secret_names(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _NAME.fullmatch(value):
            raise click.BadParameter(
                "give the name of an environment variable, such as WANDB_API_KEY, and not its value: others can read "
                "the command line."
            )
    return values


_REMOTE_OPTIONS = (
    click.option(
        "--remote", "flavor", metavar="FLAVOR", help="Run on this hardware of Hugging Face Jobs, such as a10g-small."
    ),
    click.option(
        "--timeout",
        metavar="TIME",
        callback=_seconds,
        help="With --remote: end the job after this time, such as 2h.  [default: 30m, set by the Hub]",
    ),
    click.option(
        "--wheel",
        metavar="URL",
        callback=_wheel,
        help="With --remote: install hubtune from this wheel instead of PyPI.",
    ),
    click.option(
        "--secret",
        "secrets",
        metavar="NAME",
        multiple=True,
        callback=_secret_names,
        help="With --remote: give the job this environment variable as a secret, as it does HF_TOKEN; repeatable.",
    ),
)


class RemoteChoice(NamedTuple):
    """What the options say of the machine that does a run; no flavor means this machine."""

    flavor: str | None
    timeout: int | None
    wheel: str | None
    secrets: tuple[str, ...]

    def require_sense(self, hub: Path | None) -> None:
        """Checks that the options fit each other.

        Raises:
            ConfigError: An option is for a job, and there is none; or the job could not reach the Hub.
        """
        given = {"--timeout": self.timeout, "--wheel": self.wheel, "--secret": self.secrets}
        alone = [option for option, value in given.items() if value]
        if self.flavor is None and alone:
            raise ConfigError(
                f"{alone[0]} is only for a run on another machine.",
                hint=f"Add --remote FLAVOR, or leave {alone[0]} out.",
            )
        if self.flavor is not None and hub is not None:
            raise ConfigError(
                "--hub names an embedded Hub in a folder of this machine, which a job cannot reach.",
                hint="Leave --hub out, so that the run uses the public Hub; or leave --remote out.",
            )


def remote_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds what says which machine does a run; it comes as one `remote`."""

    @functools.wraps(command)
    def with_one_choice(*args: Any, **options: Any) -> None:
        given = {name: options.pop(name) for name in RemoteChoice._fields}
        command(*args, remote=RemoteChoice(**given), **options)

    for option in reversed(_REMOTE_OPTIONS):
        with_one_choice = option(with_one_choice)
    return with_one_choice


@contextmanager
def on_hub(folder: Path | None) -> Iterator[None]:
    """Runs a command's work on the embedded Hub in `folder`, or if that is None, on the Hub of the environment.

    The Hub's clients read the environment when they are imported, so all of hubtune that uses them is imported within.
    """
    if folder is None:
        # At once: not by the Hub's client, which is imported later.
        require_endpoint(os.environ.get("HF_ENDPOINT", PUBLIC_HUB))
        yield
        return
    from hubtune.pipeline.embedded_hub import embedded_hub

    with embedded_hub(folder):
        yield
