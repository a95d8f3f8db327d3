"""`hubtune hub`: serves an embedded Hub, checks its folder, and imports local files into a Hub."""

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
    """Serve, check and fill an embedded Hub."""


@hub.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--port", type=WholeNumber(0, 65535), default=SERVE_PORT, show_default=True, help="Port; 0 selects a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; other machines can connect unless it is loopback.",
)
@click.option("--auth", type=click.Path(dir_okay=False, path_type=Path), help="YAML file with users, tokens and roles.")
@click.option(
    "--open", "open_to_all", is_flag=True, help="Let other machines connect without --auth; any token can do anything."
)
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="Another host name that clients may use; repeatable.",
)
@click.option(
    "--faults", type=click.Path(dir_okay=False, path_type=Path), help="YAML file with faults to inject into requests."
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
    """Serve the embedded Hub in DIR. Press Ctrl-C to stop."""
    from hubtune.localhub.server import HubOptions
    from hubtune.localhub.server import serve as serve_hub
    from hubtune.pages.renderer import Renderer

    def announce(url: str) -> None:
        output.progress.say(
            f"Serving {folder} at {url}, also for browsers (press Ctrl-C to stop). In the terminal of a client, run:"
        )
        token = "any" if auth is None else "YOUR_TOKEN"
        output.progress.say(f"  export HF_ENDPOINT={url} HF_HUB_DISABLE_XET=1 HF_TOKEN={token}")
        if open_to_all and auth is None:
            output.progress.warn("Anyone who can reach this address can read, change and delete everything.")
        if faults is not None:
            output.progress.warn(f"Faults from {faults} are injected into requests.")

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
    """Check every git object and large file of the embedded Hub in DIR. Stop serving DIR first."""
    from hubtune.pipeline.embedded_hub import check_folder

    record = check_folder(folder, output.progress)
    output.result(record, damage_lines(record))
    if record.damage and not output.as_json:
        raise HubDamagedError(
            f"{len(record.damage)} objects in {folder} are damaged or missing.",
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
    help="Type of REPO.",
)
@click.option("--license", "license_id", help="License to state on the card of a GGUF file.")
@hub_option
@click.pass_obj
def import_(output: Output, source: Path, repo: str, repo_type: str, license_id: str | None, hub: Path | None) -> None:
    """Upload SOURCE to REPO as one commit.

    SOURCE is a model folder, a data folder, a data file or a GGUF file.
    """
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
            f"The next start removes or repairs {len(record.leftovers)} unfinished files: {', '.join(record.leftovers)}"
        )
    for damage in record.damage:
        lines += ["", f"{damage.problem.upper()} {damage.kind} {damage.name}: {damage.detail}", *_places(damage)]
    if not record.damage:
        lines.append("Nothing is damaged or missing.")
    return lines


def _places(damage: "DamageRecord") -> list[str]:
    if not damage.places:
        return ["  in no commit of a branch or a tag"]
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
