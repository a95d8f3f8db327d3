"""The essentials: what it is, what it was made from, how well it does, under which licence."""

from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT, CardInputs
from hubtune.card.sections.evaluation import Headline, headline, headline_status
from hubtune.card.sections.licensing import displays, license_terms
from hubtune.card.sections.names import method_name


@dataclass(frozen=True)
class DataLine:
    """A data set at a glance."""

    repo: str
    split: str
    commit: str


@dataclass(frozen=True)
class Summary:
    """Context of `sections/summary.md.j2`; commits are shortened, for Provenance has them whole."""

    base: str
    base_commit: str
    data: list[DataLine]
    method: str
    rank: int
    trainable_share: float
    headline: Headline | None
    headline_status: str
    license: str | None
    license_name: str | None
    license_terms: list[str]
    displays: list[str]
    repo: str | None
    tag: str | None


def summary(inputs: CardInputs) -> Summary:
    """Builds the section's context."""
    training, target = inputs.training, inputs.target
    return Summary(
        base=inputs.pins.base.repo,
        base_commit=inputs.pins.base.commit[:SHORT_COMMIT],
        data=[DataLine(source.repo, source.split, source.commit[:SHORT_COMMIT]) for source in inputs.data.sources],
        method=method_name(training.method),
        rank=inputs.config.train.lora.r,
        trainable_share=training.trainable_parameters / training.total_parameters,
        headline=headline(inputs),
        headline_status=headline_status(inputs),
        license=inputs.licenses.license,
        license_name=inputs.licenses.license_name,
        license_terms=license_terms(inputs.licenses),
        displays=displays(inputs.licenses),
        repo=target.repo if target else None,
        tag=target.tag if target else None,
    )
