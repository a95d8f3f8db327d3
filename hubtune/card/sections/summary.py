"""The beginning of the card: a summary of the release, and how to use it."""

from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT, CardInputs
from hubtune.card.sections.evaluation import Headline, headline, headline_status
from hubtune.card.sections.licensing import displays, license_terms
from hubtune.card.snippet import pipeline_snippet, usage_snippet, vllm_commands
from hubtune.card.wording import BIAS, PRIVACY, QUALITY, method_name

_LONGEST_CELL = 160


@dataclass(frozen=True)
class DataLine:
    """A dataset in the summary."""

    repo: str
    split: str
    commit: str | None


@dataclass(frozen=True)
class Summary:
    """Context of `sections/summary.md.j2`; commits are shortened, because Provenance has the full ones."""

    base: str
    base_commit: str
    data: list[DataLine]
    method: str
    rank: int | None
    trainable_share: float
    headline: Headline | None
    headline_status: str
    license: str | None
    license_name: str | None
    license_terms: list[str]
    displays: list[str]
    repo: str | None
    tag: str | None
    merged: bool
    whole: bool
    counterpart: str | None
    made_for: str | None
    unassessed: list[str]


def summary(inputs: CardInputs) -> Summary:
    """Builds the section's context."""
    training, target = inputs.training, inputs.target
    return Summary(
        base=inputs.pins.base.repo,
        base_commit=inputs.pins.base.commit[:SHORT_COMMIT],
        data=[
            DataLine(source.label, source.split, source.commit and source.commit[:SHORT_COMMIT])
            for source in inputs.data.sources
        ],
        method=method_name(training.method),
        rank=None if training.whole else inputs.config.train.lora.r,
        trainable_share=training.trainable_parameters / training.total_parameters,
        headline=headline(inputs),
        headline_status=headline_status(inputs),
        license=inputs.licenses.license,
        license_name=inputs.licenses.license_name,
        license_terms=license_terms(inputs.licenses),
        displays=displays(inputs.licenses),
        repo=target.repo if target else None,
        tag=target.tag if target else None,
        merged=target is not None and target.artifact == "merged",
        whole=training.whole,
        counterpart=target.counterpart if target else None,
        made_for=_short(inputs.config.card.intended_use),
        unassessed=_unassessed(inputs),
    )


def _short(statement: str | None) -> str | None:
    """Returns a statement that fits a cell of a table; a longer one is only in its section."""
    plain = statement is not None and "\n" not in statement.strip() and len(statement) <= _LONGEST_CELL
    return statement.strip() if plain and statement is not None else None


def _unassessed(inputs: CardInputs) -> list[str]:
    # Contamination is a fact about the data, and says nothing of what the model gives away.
    groups = {
        measure.group
        for measure in inputs.evaluation.of_task
        if measure.status == "measured" and measure.name != "contamination"
    }
    subjects = ((QUALITY, "quality"), (BIAS, "bias"), (PRIVACY, "memorization and personal data"))
    return [subject for group, subject in subjects if group not in groups]


@dataclass(frozen=True)
class Usage:
    """Context of `sections/usage.md.j2`."""

    snippet: str
    pipeline: str
    vllm: str | None
    base: str
    gated: bool
    remote_code: bool
    published: bool
    merged: bool
    whole: bool
    resized: bool
    classifier: bool


def usage(inputs: CardInputs) -> Usage:
    """Builds the section's context."""
    merged = inputs.training.whole or (inputs.target is not None and inputs.target.artifact == "merged")
    # vLLM takes no rows of the embedding from an adapter.
    alone = bool(inputs.training.added_tokens) and not merged
    return Usage(
        snippet=usage_snippet(inputs),
        pipeline=pipeline_snippet(inputs),
        vllm=vllm_commands(inputs) if inputs.target and inputs.data.labels is None and not alone else None,
        base=inputs.pins.base.repo,
        gated=inputs.pins.base.gated is not False,
        remote_code=inputs.config.base.allow_remote_code is not None,
        published=inputs.target is not None,
        merged=merged,
        resized=inputs.training.vocabulary is not None,
        whole=inputs.training.whole,
        classifier=inputs.data.labels is not None,
    )
