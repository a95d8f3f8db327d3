"""One stage of a run directory each: reads the records it needs, does the stage, writes the record it makes."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hubtune import __version__
from hubtune.card.check import check_card
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.card.licensing.legal_files import license_files
from hubtune.card.plots import render_pictures
from hubtune.card.render import render_card
from hubtune.config.load import dump_config, parse_config
from hubtune.config.schema import TuneConfig
from hubtune.config.target import TargetOptions
from hubtune.errors import ConfigError
from hubtune.files import require_writable
from hubtune.hub.client import current_token
from hubtune.hub.read import repo_url
from hubtune.hub.snapshot import cached
from hubtune.pipeline.context import base_folder, classes_of, data_places, refuse_classifier, require_train
from hubtune.pipeline.edited_card import edited_card_files, keep_edited, refuse_edited_card
from hubtune.pipeline.licensing import decide_release, license_folders, license_record, require_allowed
from hubtune.pipeline.merge import merge_run
from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.publish.preflight import check_publisher, refuse_canaries, refuse_secrets
from hubtune.publish.push import propose_release, push
from hubtune.records.base import Progress, require_room
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord, MergedProbeRecord
from hubtune.records.merge import MergeRecord
from hubtune.records.pins import PinSet
from hubtune.records.ratings import RatingsRecord
from hubtune.records.release import CARD, CounterpartRecord, ReleaseRecord
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hubtune.data.prepare import Prepared

# Room for the card, its pictures and release.json, without which nobody would know what was published.
_RECORD_BYTES = 2_000_000


def run_data(run: RunDirectory, progress: Progress) -> "Prepared":
    """Reads and splits the pinned data and writes data.json; what it says already has to be what is found again.

    Raises:
        DataError: A data set cannot be used.
        RecordError: The pins are missing, or the data is not what was recorded.
    """
    require_train("Reading data")
    from hubtune.data.prepare import prepare
    from hubtune.models.pretrained import context_length

    config, pins = run.config(), run.read(PinSet)
    places = data_places(config, pins, cached)
    context = context_length(base_folder(config, pins), pins.base.repo)
    prepared = prepare(config, pins, places, run_tokenizer(config, pins), progress, context=context)
    if run.has(DataRecord):
        prepared.check(run.read(DataRecord))
    else:
        record = prepared.record(run.digests("config", "pins.json"))
        run.write(record)
        progress.say(
            f"{record.train.rows:,} training rows ({record.train.tokens:,} tokens), "
            f"{record.held_out.rows:,} held out to measure on"
        )
    return prepared


def run_train(
    run: RunDirectory, progress: Progress, prepared: "Prepared | None" = None, *, resume: bool = False
) -> TrainingRecord:
    """Trains on the run's data and writes the adapter and training.json.

    Args:
        run: A run with pins.
        progress: Told of each step.
        prepared: The run's data where it was read already.
        resume: Whether to go on from a checkpoint, where there is one.

    Raises:
        HubtuneError: As `run_data`; and the model cannot be loaded, the run diverged, the disk is full.
    """
    require_train("Training")
    from hubtune.data.canaries import with_canaries
    from hubtune.train.training import train

    prepared = prepared or run_data(run, progress)
    config, pins = run.config(), run.read(PinSet)
    tokenizer = run_tokenizer(config, pins)
    record = train(
        run,
        config,
        pins.base,
        base_folder(config, pins),
        tokenizer,
        with_canaries(prepared.learnt, prepared.planted.rows),
        progress,
        classes=classes_of(run.read(DataRecord), tokenizer),
        adapter=None if pins.adapter is None else (pins.adapter, cached(pins.adapter)),
        held_out=prepared.held_out,
        earlier=None if prepared.earlier is None else prepared.earlier.rows,
        resume=resume,
    )
    run.write(record)
    return record


def resume_train(run: RunDirectory, progress: Progress) -> TrainingRecord:
    """Goes on with a training that was stopped, from its newest complete checkpoint; one that ended is left as it is.

    Raises:
        HubtuneError: As `run_train`.
    """
    if run.trained:
        progress.say("The training of this run has ended: there is nothing to resume")
        return run.read(TrainingRecord)
    if not run.checkpoints_dir.is_dir():
        progress.say("There is no checkpoint to resume from: training from the start")
    return run_train(run, progress, resume=True)


def run_evaluate(run: RunDirectory, progress: Progress, prepared: "Prepared | None" = None) -> EvaluationRecord:
    """Measures base and tuned model on the held-out rows and writes evaluation.json and probe.json.

    Args:
        run: A run with a training record.
        progress: Told of each step.
        prepared: The run's data where it was read already.

    Raises:
        HubtuneError: As `run_data`; and the training record is missing, or a model cannot be loaded.
    """
    require_train("Evaluation")
    from hubtune.evaluate.evaluation import evaluate
    from hubtune.models.load_errors import computing

    training = run.read(TrainingRecord)
    prepared = prepared or run_data(run, progress)
    config, pins = run.config(), run.read(PinSet)
    tokenizer = run_tokenizer(config, pins)
    with computing(pins.base.repo):
        found = evaluate(
            run,
            config,
            base_folder(config, pins),
            tokenizer,
            training,
            prepared.train,
            prepared.held_out,
            progress,
            classes_of(run.read(DataRecord), tokenizer),
            None if prepared.earlier is None else prepared.earlier.rows.held_out,
        )
    run.write(found.probe)
    run.write(found.evaluation)
    return found.evaluation


def run_merge(run: RunDirectory, progress: Progress) -> MergeRecord:
    """Merges the adapter into the base's weights, in the folder `model`, and writes merge.json and the probe of it.

    Raises:
        MergeError: The adapter cannot be merged, or the merged model strays from base and adapter.
        RecordError: A record or the adapter is missing.
    """
    require_train("Merging")
    from hubtune.models.memory import environment
    from hubtune.models.pretrained import context_length, load_base
    from hubtune.models.probe import TOLERANCES, take_probe

    refuse_classifier(run.read(DataRecord), "merged into its base")
    record, pins = merge_run(run, progress), run.read(PinSet)
    model = load_base(run.model_dir, "the merged model", record.dtype)
    probe = MergedProbeRecord(
        upstream=run.digests("merge.json"),
        precision=record.dtype,
        tolerance=TOLERANCES[record.dtype],
        difference=None,
        prompts=take_probe(model, run_tokenizer(run.config(), pins), context_length(run.model_dir, "the merged model")),
        environment=environment(),
    )
    run.write(probe)
    return record


def needs_merge(run: RunDirectory, config: TuneConfig) -> bool:
    """Whether the adapter has still to be merged into the base's weights."""
    return config.publish.artifact == "merged" and not config.train.whole and not _merged(run)


def _merged(run: RunDirectory) -> bool:
    return run.has(MergeRecord) and run.has(MergedProbeRecord) and run.model_dir.is_dir()


def run_card(run: RunDirectory) -> CardInputs:
    """Renders and checks the model card and writes README.md and its pictures.

    Returns:
        What the card was made from.

    Raises:
        CardError: The card is incomplete or holds a placeholder.
        EditedCardError: README.md was edited by hand.
        RecordError: A record is missing.
    """
    refuse_edited_card(run)
    inputs = _card_inputs(run, run.config())
    _write_card(run, _render(inputs), render_pictures(inputs))
    return inputs


def renew_card(run: RunDirectory, progress: Progress) -> CardInputs:
    """Renders the card as `run_card` does; what was edited by hand is kept under another name.

    Raises:
        CardError: The card is incomplete or holds a placeholder. The edited one stays where it is.
        RecordError: A record is missing.
    """
    inputs = _card_inputs(run, run.config())
    card, pictures = _render(inputs), render_pictures(inputs)
    for name in edited_card_files(run):
        kept = keep_edited(run, name)
        progress.warn(f"{name} was edited by hand: your version is kept as {kept}")
    _write_card(run, card, pictures)
    return inputs


@dataclass(frozen=True)
class PlannedRelease:
    """A release that can be published: the plan, and the card and its pictures as the run keeps them."""

    plan: ReleasePlan
    card: str
    pictures: dict[str, bytes]


def plan_publish(run: RunDirectory, config: TuneConfig) -> PlannedRelease:
    """Plans the release of a run and checks all that can be checked without the Hub; writes nothing.

    Args:
        run: A run with all records.
        config: Its config, with the target.

    Raises:
        HubtuneError: The run is not complete, its card is not valid, its licences do not allow a release, or a file
            holds a secret.
    """
    refuse_edited_card(run)
    if config.publish.repo is None:
        raise ConfigError(
            "The config names no repository to publish to.",
            hint="Set `publish.repo` in config.yaml of the run, or give it: --push namespace/name",
        )
    inputs = _card_inputs(run, config)
    refuse_canaries(inputs.data.canaries.rows if inputs.data.canaries else 0)
    require_allowed(inputs.licenses)
    card = _render(inputs)
    pictures = render_pictures(inputs)
    made = {
        CARD: card.encode(),
        **_legal_files(inputs, config.publish.repo),
        **pictures,
        **_chat_template(config),
    }
    plan = plan_release(run, config, config.publish.repo, cached(inputs.pins.base), made)
    refuse_secrets({**plan.files, "the commit's message": plan.message.encode()}, current_token())
    return PlannedRelease(plan, card, pictures)


def run_publish(run: RunDirectory, progress: Progress, target: TargetOptions | None = None) -> ReleaseRecord:
    """Publishes the run as one commit with a tag, or as a pull request, and writes release.json.

    Args:
        run: A run with all records.
        progress: Told of each step.
        target: Overrides of the config; the card is rendered anew with them.

    Raises:
        HubtuneError: See `hubtune.publish.push.push`. Nothing was published.
    """
    refuse_edited_card(run)
    target = target or TargetOptions()
    config = with_target(run.config(), target)
    if config.publish.repo is not None and needs_merge(run, config):
        run_merge(run, progress)
    planned = plan_publish(run, config)
    plan = planned.plan
    account = check_publisher(plan.repo, progress, propose=target.propose).name
    require_writable(run.path)
    require_room(run.path, _RECORD_BYTES)
    proposal = propose_release(plan, account, progress) if target.propose else None
    commit = proposal.commit if proposal is not None else push(plan, progress)
    # Only now: a release that was refused leaves the run's config and card as they were. Those of the counterpart are
    # in its repository alone.
    if not target.counterpart:
        run.write_config(config)
        _write_card(run, planned.card, planned.pictures)
    record = (CounterpartRecord if target.counterpart else ReleaseRecord)(
        repo=plan.repo,
        commit=commit,
        tag=plan.tag,
        artifact=plan.artifact,
        url=repo_url(plan.repo, plan.tag if proposal is None else commit),
        files=plan.digests,
        run_dir=str(run.path),
        branch=plan.branch,
        pull_request=None if proposal is None else proposal.url,
    )
    run.write(record)
    run.event("publish", event="release", repo=record.repo, tag=record.tag, commit=record.commit)
    return record


def with_target(config: TuneConfig, target: TargetOptions) -> TuneConfig:
    """Returns the config with what the command line says of the release.

    Raises:
        ConfigError: The repository's id is malformed, the tag is not a version, and the like.
    """
    config = parse_config(
        dump_config(config), target.overrides, source="config.yaml of the run with the options", started=True
    )
    config = target.apply_counterpart(config)
    target.require_fit(config)
    return config


def _card_inputs(run: RunDirectory, config: TuneConfig) -> CardInputs:
    return CardInputs(
        config=config,
        pins=run.read(PinSet),
        data=run.read(DataRecord),
        training=run.read(TrainingRecord),
        evaluation=run.read(EvaluationRecord),
        licenses=decide_release(config, license_record(run).inputs),
        target=ReleaseTarget.of(config.publish),
        version=__version__,
        merge=run.read(MergeRecord)
        if config.publish.artifact == "merged" and not config.train.whole and run.has(MergeRecord)
        else None,
        ratings=run.read(RatingsRecord) if run.has(RatingsRecord) else None,
    )


def _write_card(run: RunDirectory, card: str, pictures: dict[str, bytes]) -> None:
    for path, content in pictures.items():
        run.write_file(path, content)
    run.write_file(CARD, card)


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


def run_tokenizer(config: TuneConfig, pins: PinSet) -> "PreTrainedTokenizerBase":
    """Loads the tokenizer of a run: the pinned base's, with the tokens that the config adds."""
    from hubtune.models.added_tokens import add_tokens
    from hubtune.models.pretrained import load_tokenizer

    tokenizer = load_tokenizer(base_folder(config, pins), pins.base.repo)
    add_tokens(tokenizer, config.train.added_tokens, pins.base.repo)
    return tokenizer
