"""One stage of a run directory each: reads the records it needs, does the stage, writes the record it makes."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from hubtune import __version__
from hubtune.card.check import check_card
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.licensing.files import license_files
from hubtune.card.plots import render_pictures
from hubtune.card.render import render_card
from hubtune.config.load import dump_config, parse_config
from hubtune.config.schema import TuneConfig
from hubtune.errors import ConfigError
from hubtune.hub.read import repo_url
from hubtune.hub.snapshot import cached
from hubtune.pipeline.extras import require_train
from hubtune.pipeline.licensing import decide_release, license_folders, license_record, require_allowed
from hubtune.pipeline.places import data_places
from hubtune.pipeline.trainable import no_classifier_yet
from hubtune.publish.plan import plan_release
from hubtune.publish.push import push
from hubtune.records.base import disk_errors, write_atomic
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.pins import PinSet
from hubtune.records.progress import Progress
from hubtune.records.release import ReleaseRecord
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.data.prepare import Prepared


def run_data(run: RunDirectory, progress: Progress) -> "Prepared":
    """Reads and splits the pinned data and writes data.json; what it says already has to be what is found again.

    Raises:
        DataError: A data set cannot be used.
        RecordError: The pins are missing, or the data is not what was recorded.
    """
    require_train("Reading data")
    from hubtune.data.prepare import prepare
    from hubtune.models.load import context_length

    config, pins = run.config(), run.read(PinSet)
    places = data_places(config, pins, cached)
    context = context_length(cached(pins.base), pins.base.repo)
    prepared = prepare(config, pins, places, _tokenizer(pins), progress, context=context)
    if run.has(DataRecord):
        prepared.check(run.read(DataRecord))
    else:
        record = prepared.record(run.digests("config", "pins.json"))
        run.write(record)
        progress.say(
            f"{record.train.rows:,} rows to train on ({record.train.tokens:,} tokens), "
            f"{record.held_out.rows:,} held out to measure on"
        )
    return prepared


def run_train(run: RunDirectory, progress: Progress, prepared: "Prepared | None" = None) -> TrainingRecord:
    """Trains on the run's data and writes the adapter and training.json.

    Args:
        run: A run with pins.
        progress: Told of each step.
        prepared: The run's data where it was read already.

    Raises:
        HubtuneError: As `run_data`; and the rows are to be classified, the model cannot be loaded, the run diverged,
            the disk is full.
    """
    require_train("Training")
    from hubtune.train.training import train

    prepared = prepared or run_data(run, progress)
    if prepared.labels is not None:
        raise no_classifier_yet("The rows have labels")
    config, pins = run.config(), run.read(PinSet)
    record = train(run, config, pins.base, cached(pins.base), _tokenizer(pins), prepared.train, progress)
    run.write(record)
    return record


def run_evaluate(run: RunDirectory, progress: Progress, prepared: "Prepared | None" = None) -> EvaluationRecord:
    """Measures base and tuned model on the held-out rows and writes evaluation.json.

    Args:
        run: A run with a training record.
        progress: Told of each step.
        prepared: The run's data where it was read already.

    Raises:
        HubtuneError: As `run_data`; and the training record is missing, or a model cannot be loaded.
    """
    require_train("Evaluation")
    from hubtune.evaluate.evaluation import evaluate

    training = run.read(TrainingRecord)
    prepared = prepared or run_data(run, progress)
    config, pins = run.config(), run.read(PinSet)
    record = evaluate(run, config, cached(pins.base), _tokenizer(pins), training, prepared.held_out, progress)
    run.write(record)
    return record


def run_card(run: RunDirectory) -> CardInputs:
    """Renders and checks the model card and writes README.md and its pictures.

    Returns:
        What the card was made from.

    Raises:
        CardError: The card is incomplete or holds a placeholder.
        RecordError: A record is missing.
    """
    inputs = _card_inputs(run, run.config())
    _write_card(run, _render(inputs), render_pictures(inputs))
    return inputs


def run_publish(
    run: RunDirectory, progress: Progress, *, repo: str | None = None, tag: str | None = None
) -> ReleaseRecord:
    """Publishes the run as one commit with a tag, and writes release.json.

    Args:
        run: A run with all records.
        progress: Told of each step.
        repo: Overrides the config's `publish.repo`; the card is rendered anew with it.
        tag: Overrides the config's `publish.tag`, likewise.

    Raises:
        HubtuneError: See `hubtune.publish.push.push`. Nothing was published.
    """
    config = with_target(run.config(), repo, tag)
    if config.publish.repo is None:
        raise ConfigError(
            "The config names no repository to publish to.",
            hint="Set `publish.repo` in config.yaml of the run, or give it: --push namespace/name",
        )
    inputs = _card_inputs(run, config)
    require_allowed(inputs.licenses)
    card = _render(inputs)
    pictures = render_pictures(inputs)
    beside = {**_legal_files(inputs, config.publish.repo), **pictures, **_chat_template(config)}
    plan = plan_release(run, config, config.publish.repo, cached(inputs.pins.base), card, beside)
    commit = push(plan, progress)
    # Only now: a release that was refused leaves the run's config and card as they were.
    run.write_config(config)
    _write_card(run, card, pictures)
    record = ReleaseRecord(
        repo=plan.repo,
        commit=commit,
        tag=plan.tag,
        artifact=plan.artifact,
        url=repo_url(plan.repo, plan.tag),
        files=plan.digests,
        run_dir=str(run.path),
    )
    run.write(record)
    run.event("publish", event="release", repo=record.repo, tag=record.tag, commit=record.commit)
    return record


def with_target(config: TuneConfig, repo: str | None, tag: str | None) -> TuneConfig:
    """Returns the config with another repository or tag to publish to.

    Raises:
        ConfigError: The repository's id is malformed, or the tag is not a version.
    """
    given = {"publish.repo": repo, "publish.tag": tag}
    overrides = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    return parse_config(dump_config(config), overrides, source="The release's target")


def _card_inputs(run: RunDirectory, config: TuneConfig) -> CardInputs:
    return CardInputs(
        config=config,
        pins=run.read(PinSet),
        data=run.read(DataRecord),
        training=run.read(TrainingRecord),
        evaluation=run.read(EvaluationRecord),
        licenses=decide_release(config, license_record(run).inputs),
        target=ReleaseTarget(config.publish.repo, config.publish.tag) if config.publish.repo else None,
        version=__version__,
    )


def _write_card(run: RunDirectory, card: str, pictures: dict[str, bytes]) -> None:
    for path, content in pictures.items():
        file = run.path / path
        with disk_errors(run.path):
            file.parent.mkdir(exist_ok=True)
        write_atomic(file, content)
    write_atomic(run.card_file, card)


def _legal_files(inputs: CardInputs, repo: str) -> dict[str, bytes]:
    return license_files(
        inputs.licenses,
        license_folders(inputs.pins),
        owner=repo.partition("/")[0],
        year=datetime.fromisoformat(inputs.training.started).year,
    )


def _chat_template(config: TuneConfig) -> dict[str, bytes]:
    return {"chat_template.jinja": config.chat_template.encode()} if config.chat_template is not None else {}


def _render(inputs: CardInputs) -> str:
    text = render_card(inputs)
    check_card(text)
    return text


def _tokenizer(pins: PinSet) -> "PreTrainedTokenizerBase":
    from hubtune.models.load import load_tokenizer

    return load_tokenizer(cached(pins.base), pins.base.repo)
