"""The exact inputs, software and hardware, so that someone else can make the same again."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.records.pins import stated_licenses
from hubtune.records.training import EnvironmentRecord


@dataclass(frozen=True)
class PinRow:
    """One input at one commit."""

    kind: str
    repo: str
    requested: str
    commit: str
    licenses: list[str]


@dataclass(frozen=True)
class Place:
    """Where a stage ran."""

    stage: str
    device: str
    platform: str
    python: str


@dataclass(frozen=True)
class Package:
    """A package's version in training and, where it differs, in evaluation."""

    name: str
    version: str
    evaluation: str | None


@dataclass(frozen=True)
class Provenance:
    """Context of `sections/provenance.md.j2`."""

    pins: list[PinRow]
    fingerprints: list[tuple[str, str]]
    files: list[tuple[str, str]]
    places: list[Place]
    packages: list[Package]


@dataclass(frozen=True)
class Making:
    """Context of `sections/making.md.j2`."""

    version: str


def provenance(inputs: CardInputs) -> Provenance:
    """Builds the section's context."""
    pins: list[PinRow] = []
    for pin in inputs.pins.all():
        kind = "Base model" if pin.type == "model" else "Data set"
        if pin == inputs.pins.adapter:
            kind = "Adapter trained further"
        elif pin in inputs.pins.earlier and pin not in inputs.pins.data:
            kind = "Data set of the earlier task"
        row = PinRow(kind, pin.repo, pin.requested, pin.commit, stated_licenses(pin.license))
        if row not in pins:
            pins.append(row)
    training, evaluation = inputs.training.environment, inputs.evaluation.environment
    places = [_place("Training", training), _place("Evaluation", evaluation)]
    if _place("", training) == _place("", evaluation):
        places = [_place("Training and evaluation", training)]
    sources = [*inputs.data.sources, *(inputs.data.earlier.sources if inputs.data.earlier else [])]
    fingerprints = [(source.label, source.fingerprint) for source in sources]
    files = [(source.file, source.sha256) for source in sources if source.file and source.sha256]
    return Provenance(pins, fingerprints, files, places, _packages(training.packages, evaluation.packages))


def making(inputs: CardInputs) -> Making:
    """Builds the context of the section on the card itself."""
    return Making(inputs.version)


def _place(stage: str, environment: EnvironmentRecord) -> Place:
    return Place(stage, environment.device, environment.platform, environment.python)


def _packages(training: dict[str, str], evaluation: dict[str, str]) -> list[Package]:
    return [
        Package(
            name,
            training.get(name, "not used"),
            evaluation.get(name, "not used") if evaluation.get(name) != training.get(name) else None,
        )
        for name in sorted({*training, *evaluation})
    ]
