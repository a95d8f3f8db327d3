"""The claim about licences: the decision, the card and the legal files follow from what the inputs state."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from hubtune import __version__
from hubtune.card.licensing.decision import LicenseDecision
from hubtune.card.licensing.files import LICENSE_FILE, NOTICE_FILE, TEXTS_FOLDER, license_files, own_folder
from hubtune.config.fields import check_repo_id
from hubtune.errors import HubError
from hubtune.hub.license_facts import is_legal_file
from hubtune.metadata.front_matter import front_matter
from hubtune.pipeline.licensing import decide_release, fetch_licenses
from hubtune.pipeline.verifying.outcome import ContradictedError, UncheckedError, listed, refuse
from hubtune.pipeline.verifying.subject import Subject
from hubtune.records.base import sha256_bytes
from hubtune.records.licenses import LicensedInput, LicenseRecord
from hubtune.records.pins import PinSet
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from pathlib import Path


def check_licences(subject: Subject) -> str:
    """Decides again, makes the legal files again from the inputs' own ones, and asks the inputs what they state."""
    documents = subject.documents
    config, pins = documents.need_config(), documents.need(PinSet)
    inputs = documents.need(LicenseRecord).inputs
    refuse(list(_foreign(inputs, pins)))
    decision = decide_release(config, inputs)
    if decision.verdict == "refused":
        raise ContradictedError(f"the inputs' licences do not allow this release: {listed(decision.reasons)}")
    refuse([*_own_files(subject, inputs), *_on_the_card(subject, decision)])
    differing = list(_made_files(subject, decision, inputs))
    asked = _asked_again(pins, inputs)
    made_by = documents.manifest.hubtune
    if made_by != __version__ and (differing or asked):
        raise UncheckedError(
            f"made by hubtune {made_by}, and {__version__} would say otherwise: {listed([*differing, *asked])}"
        )
    refuse([*differing, *asked])
    return f"{decision.license} follows from the inputs' licences, and {NOTICE_FILE}, texts and card agree"


def _foreign(inputs: list[LicensedInput], pins: PinSet) -> Iterator[str]:
    """Names the inputs that are not those of the pins, and files that no input could have brought."""
    recorded = {(item.kind, item.repo, item.commit) for item in inputs}
    pinned = {("base" if pin.type == "model" else "data", pin.repo, pin.commit) for pin in pins.all()}
    faults = [f"no licence is recorded of {repo} at {commit}" for _, repo, commit in pinned - recorded]
    faults += [f"a licence is recorded of {repo} at {commit}, no input" for _, repo, commit in recorded - pinned]
    yield from sorted(faults)
    for item in inputs:
        try:
            check_repo_id(item.repo or "")
        except ValueError as error:
            yield str(error)
        yield from (f"{name} is not the name of a legal file" for name in item.files if not is_legal_file(name))


def _own_files(subject: Subject, inputs: list[LicensedInput]) -> Iterator[str]:
    for item in inputs:
        for name, digest in item.files.items():
            path = f"{own_folder(item)}/{name}"
            if path in subject.lost:
                raise UncheckedError(subject.lost[path])
            if path not in subject.digests:
                yield f"{path} is missing, which has to travel along"
            elif subject.digests[path] != digest:
                yield f"{path} is not the one of {item.label}"


def _on_the_card(subject: Subject, decision: LicenseDecision) -> Iterator[str]:
    stated = front_matter(subject.documents.need_card()) or {}
    decided = {
        "license": decision.license,
        "license_name": decision.license_name,
        "license_link": decision.license_link,
    }
    for key, value in decided.items():
        if stated.get(key) != value:
            yield f"the card's {key} is {stated.get(key)!r}, and the inputs' licences give {value!r}"


def _made_files(subject: Subject, decision: LicenseDecision, inputs: list[LicensedInput]) -> Iterator[str]:
    """Names the legal files that differ from those which the decision gives; the inputs' own ones are as recorded."""
    folders: dict[tuple[str, str, str], Path] = {
        (item.kind, item.repo or "", item.commit or ""): subject.folder / own_folder(item) for item in inputs
    }
    year = datetime.fromisoformat(subject.documents.need(TrainingRecord).started).year
    made = license_files(decision, folders, owner=subject.repo.partition("/")[0], year=year)
    for path, content in made.items():
        if path in subject.lost:
            raise UncheckedError(subject.lost[path])
        if path not in subject.digests:
            yield f"{path} is missing"
        elif subject.digests[path] != sha256_bytes(content):
            yield f"{path} is not what the inputs' licences give"
    legal = {path for path in subject.digests if path in (LICENSE_FILE, NOTICE_FILE) or path.startswith(TEXTS_FOLDER)}
    yield from (f"{path} belongs to no input" for path in sorted(legal - made.keys()))


def _asked_again(pins: PinSet, inputs: list[LicensedInput]) -> list[str]:
    """Names the inputs that state something else, at their commit, than was recorded; none where there is no answer."""
    try:
        stated = fetch_licenses(pins)
    except HubError:
        # The claims about the base model and the data tell of it.
        return []
    known = {(item.kind, item.repo, item.commit): item for item in inputs}
    return [
        f"{item.label} states other licences or brings other legal files than was recorded"
        for item in stated
        if known.get((item.kind, item.repo, item.commit)) != item
    ]
