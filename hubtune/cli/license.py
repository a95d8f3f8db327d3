"""`hubtune license`: the license that a release from given inputs may have."""

from pathlib import Path

import click

from hubtune.cli.options import hub_option, on_hub
from hubtune.cli.output import Output
from hubtune.config.fields import misspelt_license, unknown_license
from hubtune.errors import ConfigError, LicenseRefusedError

_WORDS = {
    "allowed": "Allowed: the release may state {license}.",
    "duties": "Allowed with duties: the release may state {license}.",
    "refused": "Refused: no license allows such a release.",
}


@click.command(name="license", short_help="Find the license that a release may have.")
@click.argument("repos", nargs=-1, metavar="[REPO]...")
@click.option("--base", multiple=True, metavar="ID", help="License of the base model, such as apache-2.0; repeatable.")
@click.option("--data", multiple=True, metavar="ID", help="License of a dataset; repeatable.")
@click.option(
    "--want",
    "wanted",
    default="auto",
    metavar="ID",
    help="License that the release should state; auto selects one.  [default: auto]",
)
@click.option("--name", metavar="NAME", help="Name of the release; some licenses require a prefix.")
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
    """Find the license that a release may have, from its inputs: repositories (REPO) or license ids (--base, --data).

    REPO is namespace/name of a model or a dataset, or datasets/namespace/name, with @REVISION if not main. The
    verdict is allowed, allowed with duties, or refused. This is not legal advice.
    """
    if bool(repos) == bool(base or data):
        raise ConfigError(
            "Give repositories, or licenses with --base and --data, but not both.",
            hint="For example: hubtune license --base apache-2.0 --data cc-by-nc-4.0",
        )
    # An input may have a license that the Hub does not list; a misspelled id of the Hub's is an error.
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
    for title, entries in (("Why:", report.reasons), ("Duties:", report.duties)):
        lines += ["", title, *(f"  - {entry}" for entry in entries)] if entries else []
    output.result(report, [*lines, "", "This is not legal advice."])
    if report.verdict == "refused":
        raise click.exceptions.Exit(LicenseRefusedError.exit_code)
