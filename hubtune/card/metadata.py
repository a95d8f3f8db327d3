"""The card's front matter: a closed model, so that a misspelled key or a value of the wrong type cannot be published.

The keys are those that https://huggingface.co/docs/hub/model-cards documents.
"""

import difflib
import re
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from hubtune.card.inputs import CardInputs
from hubtune.card.licensing.rules import UNKNOWN
from hubtune.card.wording import measure_name, standard_type
from hubtune.config.fields import PUBLIC_HUB, RepoId, unknown_license
from hubtune.documents import UnreadableError
from hubtune.errors import CardError
from hubtune.metadata.front_matter import find_block, read_block
from hubtune.records.base import Commit
from hubtune.records.data import SourceRecord
from hubtune.records.results import Measure, TrainingRecord
from hubtune.validation import faults_of

_SPACES = f"{PUBLIC_HUB}/spaces/"
# What the Hub calls the configuration of a dataset that has one alone.
_ONLY_CONFIG = "default"
_LANGUAGE = re.compile(r"^(?:[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*|code|multilingual)$")


def _check_license(value: str) -> str:
    fault = unknown_license(value)
    if fault is not None:
        raise ValueError(fault)
    return value


def _check_language(value: str) -> str:
    if not _LANGUAGE.match(value):
        raise ValueError(f"{value!r} is not a language code, such as en or pt-BR")
    return value


TaskType = Literal["text-generation", "text-classification"]
NonEmpty = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Task(_Part):
    """The task on which the model was measured."""

    type: TaskType = "text-generation"
    name: NonEmpty = "Text generation"


class ResultDataset(_Part):
    """The data of a result; `split` and `revision` only if it is a single dataset."""

    type: RepoId
    name: NonEmpty
    config: NonEmpty | None = None
    split: NonEmpty | None = None
    revision: Commit | None = None

    @model_validator(mode="after")
    def _pinned_split(self) -> Self:
        if (self.split is None) != (self.revision is None):
            raise ValueError("split and revision go together: a split is of one revision")
        return self


class Metric(_Part):
    """One value of the published model."""

    type: NonEmpty
    value: FiniteFloat
    name: NonEmpty


class Result(_Part):
    """Metrics of one task on one dataset."""

    task: Task
    dataset: ResultDataset
    metrics: Annotated[list[Metric], Field(min_length=1)]


class Emissions(_Part):
    """What the training emitted, in grams of CO2 equivalent."""

    emissions: Annotated[FiniteFloat, Field(ge=0)]
    source: NonEmpty
    training_type: Literal["fine-tuning"] = "fine-tuning"
    geographical_location: NonEmpty | None = None
    hardware_used: NonEmpty | None = None


class ModelIndexEntry(_Part):
    """The results of one model."""

    name: NonEmpty
    results: Annotated[list[Result], Field(min_length=1)]


class CardMetadata(_Part):
    """The whole front matter, in the order in which it is written. Values that are None are omitted."""

    language: Annotated[list[Annotated[str, AfterValidator(_check_language)]], Field(min_length=1)] | None = None
    license: Annotated[str, AfterValidator(_check_license)]
    license_name: NonEmpty | None = None
    license_link: NonEmpty | None = None
    library_name: Literal["peft", "transformers"]
    pipeline_tag: TaskType = "text-generation"
    base_model: RepoId
    base_model_relation: Literal["adapter", "finetune"]
    datasets: Annotated[list[RepoId], Field(min_length=1)] | None = None
    metrics: Annotated[list[NonEmpty], Field(min_length=1)] | None = None
    tags: list[NonEmpty]
    co2_eq_emissions: Emissions | None = None
    model_index: list[ModelIndexEntry] | None = Field(default=None, alias="model-index", min_length=1)


def build_metadata(inputs: CardInputs) -> CardMetadata:
    """Builds the front matter from the records of the run.

    Raises:
        pydantic.ValidationError: A record holds what the Hub's metadata cannot, such as a path for a repository.
    """
    stated = (code for source in inputs.data.sources for code in source.languages)
    # Cards state all sorts of things as a language; what is not a code is left out.
    languages = list(dict.fromkeys(code for code in stated if _LANGUAGE.match(code)))
    results = _results(inputs)
    merged = inputs.training.whole or (inputs.target is not None and inputs.target.artifact == "merged")
    names = [metric.type for result in results for metric in result.metrics]
    return CardMetadata(
        language=languages or None,
        license=inputs.licenses.license or UNKNOWN,
        license_name=inputs.licenses.license_name,
        license_link=inputs.licenses.license_link,
        library_name="transformers" if merged else "peft",
        pipeline_tag=_task(inputs).type,
        base_model=inputs.pins.base.repo,
        base_model_relation="finetune" if merged else "adapter",
        datasets=list(dict.fromkeys(pin.repo for pin in [*inputs.pins.data, *inputs.pins.earlier])) or None,
        metrics=list(dict.fromkeys(names)) or None,
        tags=["hubtune", inputs.training.method, *_tracker_tags(inputs.training)],
        co2_eq_emissions=_emissions(inputs.training),
        model_index=[ModelIndexEntry(name=card_title(inputs), results=results)] if results else None,
    )


def _emissions(training: TrainingRecord) -> Emissions | None:
    cost = training.cost
    if cost is None or cost.co2 is None:
        return None
    return Emissions(
        emissions=cost.co2,
        source=cost.energy_method,
        geographical_location=cost.country,
        hardware_used=training.environment.device,
    )


def _tracker_tags(training: TrainingRecord) -> list[str]:
    """Returns the tags by which the Hub shows a Space of Trackio's next to the model."""
    spaces = [run.url for run in training.trackers if run.tracker == "trackio" and (run.url or "").startswith(_SPACES)]
    return [tag for url in spaces for tag in ("trackio", f"trackio:{url}")]


def _task(inputs: CardInputs) -> Task:
    return Task() if inputs.data.labels is None else Task(type="text-classification", name="Text classification")


def card_title(inputs: CardInputs) -> str:
    """Returns the model's name: the repository's without its owner, or one made from the base model's."""
    if inputs.target is not None:
        return inputs.target.repo.rpartition("/")[2]
    return f"{inputs.pins.base.repo.rpartition('/')[2]}-{inputs.training.method}"


def _results(inputs: CardInputs) -> list[Result]:
    """Returns what was measured of the published model by measures that others know, a result for each set of rows."""
    found: dict[ResultDataset, list[Metric]] = {}
    for measure in inputs.evaluation.of_task:
        kind, dataset = standard_type(measure.name), _dataset(inputs.data.sources, measure)
        if measure.status != "measured" or measure.tuned is None or kind is None or dataset is None:
            continue
        name = f"{measure_name(measure.name)} on {measure.split} rows"
        found.setdefault(dataset, []).append(Metric(type=kind, value=measure.tuned, name=name))
    return [Result(task=_task(inputs), dataset=dataset, metrics=metrics) for dataset, metrics in found.items()]


def _dataset(sources: list[SourceRecord], measure: Measure) -> ResultDataset | None:
    """Names what was measured on.

    The Hub's format has one revision for a result. If rows of several datasets were measured together, one
    revision would claim too much, so that the name lists them all instead. A result has to name a repository, so that
    one on local files alone is in the card's text only.
    """
    repos = [source.repo for source in sources if source.repo is not None]
    if not repos:
        return None
    first = sources[0]
    rows = f"{measure.n:,} {measure.split} rows"
    if len(sources) == 1:
        name = f"{repos[0]}, {rows} of {first.split}"
        return ResultDataset(
            type=repos[0], name=name, config=first.name or _ONLY_CONFIG, split=first.split, revision=first.commit
        )
    parts = [
        f"{source.repo} ({source.split}, revision {source.commit})"
        if source.repo is not None
        else f"{source.label} ({source.split}, sha256 {source.sha256})"
        for source in sources
    ]
    return ResultDataset(type=repos[0], name=f"{rows} of {' + '.join(parts)}")


# The Hub reads YAML 1.2, where 12e34 and 0o17 are numbers; PyYAML writes 1.1, where they are strings and go unquoted.
# A commit of digits and one "e" is such a text.
_NUMBER_LIKE = re.compile(r"^[-+.]?\d")
_NEEDS_ESCAPES = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class _Dumper(yaml.SafeDumper):
    """The safe dumper, with quotes wherever a reader of YAML 1.2 would need them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own
        super().increase_indent(flow, False)


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _NEEDS_ESCAPES.search(value) else "'" if _NUMBER_LIKE.match(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)


def dump_front_matter(metadata: CardMetadata) -> str:
    """Returns the metadata as a YAML block between lines of `---`.

    Raises:
        CardError: The text does not read back as the same metadata.
    """
    content = metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    block = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    front = f"---\n{block}---\n"
    back, faults = read_front_matter(front)
    if back != metadata:
        raise CardError(
            "The card's metadata does not read back as it was written.",
            details=faults,
            hint="Leave odd characters out of the names and statements in the config's `card` section.",
        )
    return front


def read_front_matter(card: str) -> tuple[CardMetadata | None, list[str]]:
    """Returns the card's metadata and its faults; the metadata is None if there is a fault."""
    block = find_block(card)
    if block is None:
        return None, ["front matter: there is none; begin the card with metadata between two lines of ---"]
    try:
        found = read_block(block)
    except UnreadableError as error:
        return None, [f"front matter: it {error}"]
    try:
        return CardMetadata.model_validate(found.data if found else None), []
    except ValidationError as error:
        return None, explain_metadata(error)


def explain_metadata(error: ValidationError) -> list[str]:
    """Returns one line for each fault of the metadata, with the key's path and what it may have meant."""
    known = [field.alias or name for name, field in CardMetadata.model_fields.items()]
    lines = []
    for fault in faults_of(error):
        close = difflib.get_close_matches(fault.path, known, n=1) if fault.kind == "extra_forbidden" else []
        lines.append(f"front matter: {fault}{f'; did you mean {close[0]}?' if close else ''}")
    return lines
