"""The job of `hubtune evaluate REPO@TAG`: evaluates a release on the data of its records or on other data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.load import dump_config, parse_config, require_none_of_release
from hubtune.config.schema import TuneConfig
from hubtune.data.split import seeded
from hubtune.errors import ConfigError, RecordError
from hubtune.hub.snapshot import fetch
from hubtune.pin import resolve_pins
from hubtune.pipeline.context import data_places, require_train
from hubtune.pipeline.published import FetchedRelease, PublishedRelease, fetch_base, fetch_release, read_release
from hubtune.records.base import Commit, PinSet, Progress
from hubtune.records.release import CONFIG
from hubtune.records.results import EvaluationRecord, Measure

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.data.prepare import Prepared
    from hubtune.data.tokenization import Example
    from hubtune.evaluate.evaluation import ReleaseOnDisk
    from hubtune.evaluate.measurement import MeasuredRows

# How a row is read, which other data of the same form can be read by too.
_FORM = ("format", "template", "text", "columns", "chat_template", "loss_on", "labels")
_GIVEN = "given"


class ReleaseEvaluationRecord(EvaluationRecord):
    """The evaluation of a release.

    Attributes:
        commit: The commit of the release.
        base: The model that it was measured against; null if there is none.
        base_commit: The commit of it.
        own_data: Whether the rows are those of the release's own records that it was not trained on; else they are all
            rows of `data`, and measures name them as `given`.
        data: Each dataset, with the commit of a repository.
    """

    repo: str
    commit: Commit
    base: str | None
    base_commit: Commit | None
    own_data: bool
    data: list[str]


@dataclass(frozen=True)
class _Plan:
    config: TuneConfig
    pins: PinSet
    own: bool
    untouched: bool


@dataclass(frozen=True)
class MeasureOptions:
    """How to evaluate a release, if not as its own records say.

    Attributes:
        data: A dataset's repository or a local file to measure on, all of its rows; None for the release's own data,
            the rows that it was not trained on.
        overrides: `key=value` texts for the config, such as `evaluate.metrics=all` or `data[0].text=quote`.
        allow_remote_code: The commit of the base whose Python code may be run; None for none.
    """

    data: str | None = None
    overrides: Sequence[str] = ()
    allow_remote_code: str | None = None


_AS_RECORDED = MeasureOptions()


def measure_release(
    repo: str, revision: str, progress: Progress, options: MeasureOptions = _AS_RECORDED
) -> ReleaseEvaluationRecord:
    """Evaluates a release against its base model; a complete model without a recorded base is evaluated alone.

    Args:
        repo: A model repository, of hubtune or of anyone.
        revision: A tag, a branch or a commit; it is asked for once.
        progress: Reports each step.
        options: What to measure on, and how.

    Raises:
        HubError: The release, its base or the data are not available.
        ConfigError: An override is at fault, or there is no data to measure on.
        ReleaseError: What the release was made from is in local files, and no override names them.
        HubtuneError: As `prepare`; and a model cannot be loaded.
    """
    require_train("Evaluation")
    from hubtune.evaluate.evaluation import evaluate_release
    from hubtune.models.pretrained import load_tokenizer

    release = fetch_release(repo, revision, progress, allow_remote_code=options.allow_remote_code)
    published = _published(release)
    plan = _plan(release, published, options, progress)
    tokenizer = load_tokenizer(release.folder, repo)
    release = _with_base(release, published, progress, options.allow_remote_code)
    prepared = _prepare(plan, release, tokenizer, progress)
    if plan.untouched and published is not None:
        prepared.check(published.data)
    on_disk = _on_disk(release, published, prepared, tokenizer)
    record = evaluate_release(on_disk, _rows(plan, prepared), plan.config, progress)
    measures = record.measures if plan.own else [_on_given(measure) for measure in record.measures]
    return ReleaseEvaluationRecord(
        **{**dict(record), "measures": measures},
        repo=repo,
        commit=release.commit,
        base=release.base_repo,
        base_commit=release.base_commit,
        own_data=plan.own,
        data=[found.label if found.commit is None else f"{found.repo}@{found.commit}" for found in prepared.sources],
    )


def _on_disk(
    release: FetchedRelease,
    published: PublishedRelease | None,
    prepared: "Prepared",
    tokenizer: "PreTrainedTokenizerBase",
) -> "ReleaseOnDisk":
    from hubtune.evaluate.evaluation import ReleaseOnDisk
    from hubtune.models.precision import choose_precision

    labels = prepared.labels
    return ReleaseOnDisk(
        f"{release.repo}@{release.commit}",
        release.folder,
        release.base_folder,
        release.artifact == "adapter",
        tokenizer,
        choose_precision("auto") if published is None else published.training.precision,
        None if labels is None else (labels.names, labels.several),
    )


def _rows(plan: _Plan, prepared: "Prepared") -> "MeasuredRows":
    """Returns the rows that a release was not trained on, of its own data; of other data all."""
    from hubtune.evaluate.measurement import EarlierHeldOut, MeasuredRows

    if not plan.own:
        return MeasuredRows([], _all_rows(prepared, plan.config))
    earlier = None if prepared.earlier is None else EarlierHeldOut(prepared.earlier.rows.held_out)
    return MeasuredRows(prepared.train, prepared.held_out, prepared.record({}), earlier)


def _published(release: FetchedRelease) -> PublishedRelease | None:
    try:
        return read_release(release.repo, release.commit)
    except RecordError:
        # Not of hubtune, or of a version whose records cannot be read: all that can be measured is its weights.
        return None


def _with_base(
    release: FetchedRelease, published: PublishedRelease | None, progress: Progress, allow_remote_code: str | None
) -> FetchedRelease:
    """Fetches the base of a whole model, if the release's records name it."""
    if release.base_folder is not None or published is None:
        return release
    pin = published.pins.base
    folder = fetch_base(pin, progress, allow_remote_code)
    return replace(release, base_repo=pin.repo, base_commit=pin.commit, base_folder=folder)


def _plan(
    release: FetchedRelease, published: PublishedRelease | None, options: MeasureOptions, progress: Progress
) -> _Plan:
    data, overrides = options.data, options.overrides
    if data is None and published is None:
        raise ConfigError(
            f"{release.repo} at {release.commit} has no records of hubtune that say what data to measure on.",
            hint="Give a dataset: --data org/sayings -s data[0].text=quote, or a local file.",
        )
    own = published.config if published is not None else _bare(release)
    # How the card is written has no part in measuring.
    own = own.model_copy(update={"card": own.card.model_copy(update={"templates": None})})
    if data is not None:
        own = own.model_copy(update={"data": parse_config(_on(data, own), started=True).data, "earlier": None})
    config = parse_config(
        dump_config(own), overrides, source="config.yaml of the release with the options", started=True
    )
    if published is not None:
        source = f"{CONFIG} of {release.repo}"
        require_none_of_release(published.config, source, given=overrides, own_data=data is None)
    if data is None and published is not None:
        return _Plan(config, published.pins, own=True, untouched=not overrides)
    return _Plan(config, resolve_pins(config, None, progress).pins, own=False, untouched=False)


def _prepare(
    plan: _Plan, release: FetchedRelease, tokenizer: "PreTrainedTokenizerBase", progress: Progress
) -> "Prepared":
    """Reads and encodes the rows, none longer than the model that is measured can read."""
    from hubtune.data.prepare import DataJob, prepare
    from hubtune.models.pretrained import context_length

    adapted = release.base_folder if release.artifact == "adapter" else None
    context = context_length(adapted or release.folder, release.repo)
    places = data_places(plan.config, plan.pins, fetch)
    return prepare(DataJob(plan.config, plan.pins, places, tokenizer, progress, context))


def _bare(release: FetchedRelease) -> TuneConfig:
    """Returns a config for weights of anyone's."""
    base = {"repo": release.base_repo or release.repo, "revision": release.base_commit or release.commit}
    return TuneConfig.model_validate({"base": base, "data": [{"repo": release.repo}]})


def _on(data: str, config: TuneConfig) -> str:
    """Returns the text of a config that measures on `data`, read in the form of the first dataset."""
    place = {"path": str(Path(data).absolute())} if Path(data).is_file() else {"repo": data}
    form = {key: value for key in _FORM if (value := getattr(config.data[0], key)) is not None}
    entry = config.data[0].model_validate({**place, **form})
    return dump_config(config.model_copy(update={"data": [entry], "earlier": None}))


def _all_rows(prepared: "Prepared", config: TuneConfig) -> "list[Example]":
    rows = [*prepared.held_out, *prepared.train]
    most = config.evaluate.max_items
    if most is None or len(rows) <= most:
        return rows
    return seeded(config.evaluate.seed).sample(rows, most)


def _on_given(measure: Measure) -> Measure:
    return measure.model_copy(update={"split": _GIVEN}) if measure.split == "held-out" else measure
