"""Applies the license decision to pinned repositories: before training, on the card, in the release, and on its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hubtune.card.licensing.decision import LicenseDecision, OtherTerms, decide
from hubtune.card.licensing.legal_files import Folders
from hubtune.config.schema import TuneConfig
from hubtune.errors import LicenseRefusedError
from hubtune.hub.license_facts import fetch_licensed_input, read_licensed_input
from hubtune.hub.read import resolve_named
from hubtune.hub.snapshot import cached
from hubtune.records.base import LicensedInput, LicenseRecord, Pin, PinSet, Record
from hubtune.records.rundir import RunDirectory


class LicenseReport(Record):
    """What a release made from given inputs may be licensed as, what it owes, and why."""

    verdict: Literal["allowed", "duties", "refused"]
    license: str | None
    license_name: str | None
    license_link: str | None
    duties: list[str]
    reasons: list[str]
    inputs: list[LicensedInput]

    @classmethod
    def of(cls, decision: LicenseDecision, inputs: Sequence[LicensedInput]) -> "LicenseReport":
        """Returns the report of a decision."""
        return cls(
            verdict=decision.verdict,
            license=decision.license,
            license_name=decision.license_name,
            license_link=decision.license_link,
            duties=[duty.text for duty in decision.duties],
            reasons=list(decision.reasons),
            inputs=list(inputs),
        )


def license_of_ids(base: Sequence[str], data: Sequence[str], wanted: str, name: str | None) -> LicenseReport:
    """Decides for licenses without repositories.

    Args:
        base: Licenses of the base model, all of which count.
        data: License of each dataset.
        wanted: The release's license, or `auto`.
        name: The release's name, if it is known.
    """
    inputs = [LicensedInput(kind="base", licenses=list(base))] if base else []
    inputs += [LicensedInput(kind="data", licenses=[license]) for license in data]
    return LicenseReport.of(decide(inputs, wanted, name=name), inputs)


def license_of_repos(repos: Sequence[str], wanted: str, name: str | None) -> LicenseReport:
    """Decides for repositories of the Hub: `name`, `namespace/name` or `datasets/namespace/name`, each `@revision`.

    Raises:
        HubError: One of them is not available.
    """
    inputs = [fetch_licensed_input(_pin(repo)) for repo in repos]
    return LicenseReport.of(decide(inputs, wanted, name=name), inputs)


def fetch_licenses(pins: PinSet) -> list[LicensedInput]:
    """Asks the Hub for the licenses of pinned inputs, before their snapshots are fetched."""
    return [fetch_licensed_input(pin) for pin in _unique(pins)]


def license_record(run: RunDirectory) -> LicenseRecord:
    """Returns the run's record of its inputs' licenses; makes it from the snapshots if there is none yet."""
    if not run.has(LicenseRecord):
        inputs = [read_licensed_input(pin, _folder(pin)) for pin in _unique(run.read(PinSet))]
        run.write(LicenseRecord(upstream=run.digests("pins.json"), inputs=inputs))
    return run.read(LicenseRecord)


def decide_release(config: TuneConfig, inputs: Sequence[LicensedInput]) -> LicenseDecision:
    """Decides on the release that a config describes; its local files have the licenses that it states."""
    card, repo = config.card, config.publish.repo
    return decide(
        [*inputs, *_local_inputs(config)],
        card.license,
        name=repo.rpartition("/")[2] if repo else None,
        accepted=card.accept_license,
        other=OtherTerms(card.license_name, card.license_link),
    )


def _local_inputs(config: TuneConfig) -> list[LicensedInput]:
    return [
        LicensedInput(kind="data", file=entry.label, licenses=[entry.license] if entry.license is not None else [])
        for entry in config.all_data
        if entry.path is not None
    ]


def require_allowed(decision: LicenseDecision) -> LicenseDecision:
    """Returns the decision, unless it is a refusal.

    Raises:
        LicenseRefusedError: The inputs do not allow the release; the details say why.
    """
    if decision.verdict == "refused":
        raise LicenseRefusedError(
            "The licenses of the inputs do not allow this release.",
            details=decision.reasons,
            hint="Use other inputs, state another card.license, or sign off what is unknown with card.accept_license; "
            "`hubtune license` answers for any inputs.",
        )
    return decision


def license_folders(pins: PinSet) -> Folders:
    """Returns where the snapshot of each input is."""
    return {("base" if pin.type == "model" else "data", pin.repo, pin.commit): _folder(pin) for pin in pins.all()}


def _folder(pin: Pin) -> Path:
    # The card and the legal files are all that is read of a dataset, and all that there is of one that is streamed.
    return cached(pin, streamed=pin.type == "dataset")


def _unique(pins: PinSet) -> list[Pin]:
    return list({(pin.type, pin.repo, pin.commit): pin for pin in pins.all()}.values())


def _pin(text: str) -> Pin:
    named = resolve_named(text)
    return Pin(
        repo=named.repo,
        type=named.type,
        requested=named.requested,
        commit=named.found.commit,
        license=named.found.license,
        gated=named.found.gated,
    )
