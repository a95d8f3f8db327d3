"""`hubtune license`: what a release made from given inputs may be licensed as."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub
from hubtune.cli.output import Output
from hubtune.config.fields import misspelt_license, unknown_license
from hubtune.errors import ConfigError, LicenseRefusedError

_WORDS = {
    "allowed": "Allowed: the release may state {license}.",
    "duties": "Allowed with duties: the release states {license}.",
    "refused": "Refused: there is no licence that such a release may have.",
}


@click.command(name="license", short_help="Which licence a release from given inputs may have.")
@click.argument("repos", nargs=-1, metavar="[REPO]...")
@click.option("--base", multiple=True, metavar="ID", help="A licence of the base model, such as apache-2.0.")
@click.option("--data", multiple=True, metavar="ID", help="The licence of a data set; repeatable.")
@click.option("--want", "wanted", default="auto", metavar="ID", help="The licence to state; auto finds one.")
@click.option("--name", metavar="NAME", help="The release's name: some licences say how it has to begin.")
@hub_option
@click.pass_obj
def license_(
    output: Output,
    repos: tuple[str, ...],
    base: tuple[str, ...],
    data: tuple[str, ...],
    wanted: str,
    name: str | None,
    hub: Path | None,
) -> None:
    """Decide on the licence of a release made from the repositories REPO, or from the licences given by their ids.

    REPO is namespace/name of a model or a data set, or datasets/namespace/name, with @REVISION if not main. The
    answer is allowed, allowed with duties, or refused. It is not legal advice.
    """
    if bool(repos) == bool(base or data):
        raise ConfigError(
            "Give repositories, or licences with --base and --data; not both.",
            hint="For example: hubtune license --base apache-2.0 --data cc-by-nc-4.0",
        )
    # An input may have a licence of its own, whose name the Hub does not list; what is one of the Hub's but for its
    # spelling is none of these.
    misspelt = [
        fault for given in (*base, *data) if misspelt_license(given.lower()) and (fault := unknown_license(given))
    ]
    fault = next(iter(misspelt), None) or (None if wanted == "auto" else unknown_license(wanted))
    if fault is not None:
        raise ConfigError(
            f"{fault}{'' if fault.endswith('?') else '.'}",
            hint="The Hub's documentation lists them: https://huggingface.co/docs/hub/repositories-licenses",
        )
    with on_hub(hub if repos else None):
        from hubtune.pipeline.licensing import license_of_ids, license_of_repos

        report = license_of_repos(repos, wanted, name) if repos else license_of_ids(base, data, wanted, name)
    lines = [_WORDS[report.verdict].format(license=report.license)]
    for title, entries in (("Why:", report.reasons), ("It owes:", report.duties)):
        lines += ["", title, *(f"  - {entry}" for entry in entries)] if entries else []
    output.result(report, [*lines, "", "This is not legal advice."])
    if report.verdict == "refused":
        raise click.exceptions.Exit(LicenseRefusedError.exit_code)
