"""The end of the card: environmental impact, provenance, how to verify and cite the release, and contact."""

import re
from dataclasses import dataclass
from datetime import datetime

from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.card.metadata import card_title
from hubtune.card.wording import duration
from hubtune.records.base import stated_licenses
from hubtune.records.remote import JobRecord
from hubtune.records.results import CostRecord, EnvironmentRecord

# The Hub's public address: a card is read there, wherever it was rendered.
HUB = "https://huggingface.co"
# Forward and backward pass through frozen weights cost 4 floating-point operations a weight and token, and 6 where the
# weights themselves are trained: Kaplan et al., "Scaling Laws for Neural Language Models" (2020), appendix B.
_FROZEN, _TRAINED = 4, 6


@dataclass(frozen=True)
class Energy:
    """The energy of a training: in kWh, with grams of CO2 equivalent by the electricity of a country."""

    kilowatt_hours: float
    grams: float
    country: str
    method: str
    estimated: bool


@dataclass(frozen=True)
class Environment:
    """Context of `sections/environment.md.j2`.

    Attributes:
        job: The job on Hugging Face's machines; None if it ran elsewhere.
        speed: Tokens per second; None in records of versions that did not measure it.
        memory: What the process held at most, and an accelerator; None likewise.
        teraflops: Operations by the estimate that the section explains, in 10^12.
        energy: None if it was not assessed.
        unassessed: Why it was not.
    """

    device: str
    job: JobRecord | None
    time: str
    speed: float | None
    memory: str | None
    teraflops: float
    energy: Energy | None
    unassessed: str
    statement: str | None


@dataclass(frozen=True)
class Verify:
    """Context of `sections/verify.md.j2`."""

    published: bool
    command: str
    by_hand: str
    weights: list[tuple[str, str]]


@dataclass(frozen=True)
class Citation:
    """Context of `sections/citation.md.j2`; `bibtex` is None if nothing is published."""

    statement: str | None
    bibtex: str | None


@dataclass(frozen=True)
class Contact:
    """Context of `sections/contact.md.j2`."""

    statement: str | None
    address: Markdown | None


def environment(inputs: CardInputs) -> Environment:
    """Builds the context of the section on the environment."""
    training = inputs.training
    cost, frozen = training.cost, training.total_parameters - training.trainable_parameters
    # Records of versions that did not count operations have had those of the target tokens on their cards.
    operations = (_FROZEN * frozen + _TRAINED * training.trainable_parameters) * training.tokens
    return Environment(
        device=training.environment.device,
        job=training.job,
        time=duration(training.seconds),
        speed=None if cost is None else cost.tokens_per_second,
        memory=None if cost is None else _memory(cost),
        teraflops=(operations if cost is None else cost.operations) / 1e12,
        energy=None if cost is None else _energy(cost),
        unassessed="energy use was not metered" if cost is None else cost.energy_method,
        statement=inputs.config.card.environment,
    )


def _memory(cost: CostRecord) -> str | None:
    places = {"of the process": cost.peak_memory, "of a GPU": cost.device_peak_memory}
    return ", ".join(f"{size / 1e9:,.1f} GB {place}" for place, size in places.items() if size is not None) or None


def _energy(cost: CostRecord) -> Energy | None:
    if cost.energy is None or cost.co2 is None:
        return None
    return Energy(cost.energy, cost.co2, cost.country or "unknown", cost.energy_method, bool(cost.energy_estimated))


def verify(inputs: CardInputs) -> Verify:
    """Builds the context of the section on verifying."""
    return Verify(
        published=inputs.target is not None,
        command=f"hubtune verify {inputs.target.repo}@{inputs.target.tag} --commit COMMIT" if inputs.target else "",
        by_hand=_verify_by_hand(inputs) if inputs.target else "",
        weights=sorted(inputs.training.files.items()) if _is_adapter(inputs) else [],
    )


def citation(inputs: CardInputs) -> Citation:
    """Builds the context of the section on citing."""
    return Citation(inputs.config.card.citation, _bibtex(inputs) if inputs.target else None)


def contact(inputs: CardInputs) -> Contact:
    """Builds the context of the section on contact."""
    address = Markdown(f"{HUB}/{inputs.target.repo}/discussions") if inputs.target else None
    return Contact(inputs.config.card.contact, address)


def _is_adapter(inputs: CardInputs) -> bool:
    return inputs.target is None or inputs.target.artifact == "adapter"


def _verify_by_hand(inputs: CardInputs) -> str:
    assert inputs.target is not None
    folder = card_title(inputs)
    return "\n".join(
        [
            f"hf download {inputs.target.repo} --revision {inputs.target.tag} --local-dir {folder}",
            f"cd {folder}",
            "python - <<'END'",
            "import hashlib, json, pathlib",
            "",
            'files = json.loads(pathlib.Path("hubtune.json").read_text())["files"]',
            "for name, digest in files.items():",
            "    found = hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest()",
            '    print("same" if found == digest else "DIFFERENT", name)',
            "END",
        ]
    )


def _bibtex(inputs: CardInputs) -> str:
    assert inputs.target is not None
    owner, _, name = inputs.target.repo.partition("/")
    key = re.sub(r"\W+", "_", f"{owner}_{name}", flags=re.ASCII).strip("_").lower()
    return "\n".join(
        [
            f"@misc{{{key},",
            f"  title = {{{name}, {inputs.target.tag}}},",
            f"  author = {{{{{owner}}}}},",
            f"  year = {{{datetime.fromisoformat(inputs.training.started).year}}},",
            f"  url = {{{HUB}/{inputs.target.repo}/tree/{inputs.target.tag}}},",
            "}",
        ]
    )


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
    """The environment of a stage."""

    stage: str
    device: str
    platform: str
    python: str


@dataclass(frozen=True)
class Package:
    """A package's version in training and, if it differs, in evaluation."""

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
        kind = "Base model" if pin.type == "model" else "Dataset"
        if pin == inputs.pins.adapter:
            kind = "Initial adapter"
        elif pin in inputs.pins.earlier and pin not in inputs.pins.data:
            kind = "Dataset of the earlier task"
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
