"""Options and arguments that several commands share, each declared once."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from hubtune.config.fields import PUBLIC_HUB, check_commit, require_endpoint
from hubtune.config.load import TargetOptions


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
        raise click.BadParameter(f"{value!r} does not say which revision: give REPO@TAG, such as org/model@v1.0.0.")
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
    help='Train in the processes of this launcher, such as "accelerate launch --num_processes 2" or "torchrun ...".',
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


@contextmanager
def on_hub(folder: Path | None) -> Iterator[None]:
    """Runs a command's work on the embedded Hub in `folder`, or where that is None, on the Hub of the environment.

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
