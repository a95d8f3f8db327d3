"""`hubtune hub`: the embedded Hub, checking its folder, and bringing local files onto a Hub."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import WholeNumber, hub_option, on_hub
from hubtune.cli.output import Output
from hubtune.cli.run import SERVE_PORT
from hubtune.errors import HubDamagedError

if TYPE_CHECKING:
    from hubtune.pipeline.embedded_hub import DamageRecord, FsckRecord, PlaceRecord


@click.group()
def hub() -> None:
    """The embedded Hub: serve it, check its files, and import models and data."""


@hub.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--port", type=WholeNumber(0, 65535), default=SERVE_PORT, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Anything but loopback lets other machines in.")
@click.option("--auth", type=click.Path(dir_okay=False, path_type=Path), help="YAML file of users, tokens and roles.")
@click.option(
    "--open", "open_to_all", is_flag=True, help="Let other machines in without --auth: any token may do anything."
)
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="A further name under which clients may address the Hub; repeatable.",
)
@click.option(
    "--faults", type=click.Path(dir_okay=False, path_type=Path), help="YAML file of requests that are to go wrong."
)
@click.pass_obj
def serve(
    output: Output,
    folder: Path,
    port: int,
    host: str,
    auth: Path | None,
    open_to_all: bool,
    allow_hosts: tuple[str, ...],
    faults: Path | None,
) -> None:
    """Serve the embedded Hub in DIR until Ctrl-C."""
    from hubtune.localhub.server import HubOptions
    from hubtune.localhub.server import serve as serve_hub
    from hubtune.pages.renderer import Renderer

    def announce(url: str) -> None:
        output.progress.say(
            f"Serving {folder} at {url}, for browsers too (Ctrl-C ends it). In the terminal of a client:"
        )
        token = "any" if auth is None else "YOUR_TOKEN"
        output.progress.say(f"  export HF_ENDPOINT={url} HF_HUB_DISABLE_XET=1 HF_TOKEN={token}")
        if open_to_all and auth is None:
            output.progress.warn("Whoever reaches this address may read, change and delete everything there.")
        if faults is not None:
            output.progress.warn(f"Requests go wrong as {faults} plans.")

    serve_hub(
        folder,
        HubOptions(host, port, auth, open_to_all, allow_hosts),
        on_ready=announce,
        faults=faults,
        pages=Renderer(),
    )


@hub.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def fsck(output: Output, folder: Path) -> int:
    """Check every git object and large file of the embedded Hub in DIR, which must not be served meanwhile."""
    from hubtune.pipeline.embedded_hub import check_folder

    record = check_folder(folder, output.progress)
    output.result(record, damage_lines(record))
    if record.damage and not output.as_json:
        raise HubDamagedError(
            f"{len(record.damage)} things in {folder} are damaged or missing.",
            hint="Restore them from a backup, or upload the files again; then check again.",
        )
    # The record is the one document on stdout, and says what is wrong.
    return HubDamagedError.exit_code if record.damage else 0


@hub.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("repo")
@click.option(
    "--type",
    "repo_type",
    type=click.Choice(["model", "dataset"]),
    default="model",
    show_default=True,
    help="What REPO is.",
)
@click.option("--license", "license_id", help="The licence to state on the card that a GGUF file gets.")
@hub_option
@click.pass_obj
def import_(output: Output, source: Path, repo: str, repo_type: str, license_id: str | None, hub: Path | None) -> None:
    """Upload SOURCE, a model folder, data folder, data file or GGUF file, to REPO as one commit."""
    with on_hub(hub):
        from hubtune.pipeline.hub_import import ImportTarget, import_source

        target = ImportTarget(repo, "dataset" if repo_type == "dataset" else "model", license_id=license_id)
        record = import_source(source, target, output.progress)
        output.result(record, [f"Repo:    {record.repo} ({record.type})", f"Commit:  {record.commit}"])


_MOST_PLACES = 20


def damage_lines(record: "FsckRecord") -> list[str]:
    """Returns a line for what was checked, then each thing that is wrong with the places where it is in use."""
    lines = [
        f"Checked {record.repos} repositories: {record.git_objects} git objects and {record.large_files} large files"
        f" ({record.large_bytes} bytes)."
    ]
    if record.unreferenced:
        lines.append(f"No commit needs {record.unreferenced} of the large files.")
    if record.leftovers:
        lines.append(
            f"The next start removes or mends {len(record.leftovers)} unfinished files: {', '.join(record.leftovers)}"
        )
    for damage in record.damage:
        lines += ["", f"{damage.problem.upper()} {damage.kind} {damage.name}: {damage.detail}", *_places(damage)]
    if not record.damage:
        lines.append("Nothing is damaged and nothing is missing.")
    return lines


def _places(damage: "DamageRecord") -> list[str]:
    if not damage.places:
        return ["  in no commit that a branch or a tag leads to"]
    lines = [f"  in {_place(place)}" for place in damage.places[:_MOST_PLACES]]
    more = len(damage.places) - _MOST_PLACES
    return [*lines, f"  and in {more} more places (--json lists all)"] if more > 0 else lines


def _place(place: "PlaceRecord") -> str:
    parts = [place.repo]
    if place.commit is not None:
        parts.append(f"commit {place.commit}")
    if place.path is not None:
        parts.append(f"file {place.path}" if place.path else "its root folder")
    return ", ".join(parts)
