"""The stages of a run, in order: each reads the records that it needs, does its work and writes its record."""

from typing import TYPE_CHECKING

from hubtune.card.inputs import CardInputs
from hubtune.config.load import TargetOptions
from hubtune.config.schema import TuneConfig
from hubtune.files import require_writable
from hubtune.hub.read import repo_url
from hubtune.pipeline import planning
from hubtune.pipeline.context import RunContext, refuse_classifier, require_train
from hubtune.pipeline.launch import Launcher, require_launcher
from hubtune.pipeline.merge import merge_run
from hubtune.pipeline.tracking import add_evaluation, add_release, require_reporting
from hubtune.publish.preflight import check_publisher
from hubtune.publish.push import propose_release, push
from hubtune.records.base import require_room
from hubtune.records.data import DataRecord
from hubtune.records.release import CounterpartRecord, MergeRecord, ReleaseRecord
from hubtune.records.results import EvaluationRecord, HeldOutPoint, MergedProbeRecord, TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hubtune.data.prepare import Prepared
    from hubtune.evaluate.evaluation import Evaluated

# Room for the card, its pictures and release.json, without which nobody would know what was published.
_RECORD_BYTES = 2_000_000


def run_data(context: RunContext) -> "Prepared":
    """Reads and splits the pinned data and writes data.json; an existing data.json must match the result.

    Raises:
        DataError: A dataset cannot be used.
        RecordError: The pins are missing, or the data is not what was recorded.
    """
    require_train("Reading data")
    from hubtune.data.prepare import prepare

    run = context.run
    prepared = prepare(context.data_job())
    if run.has(DataRecord):
        prepared.check(run.read(DataRecord))
        return prepared
    record = prepared.record(run.digests("config", "pins.json"))
    run.write(record)
    context.progress.say(
        f"{record.train.rows:,} training rows ({record.train.tokens:,} tokens), {record.held_out.rows:,} held-out rows"
        + (f", {record.validation.rows:,} validation rows" if record.validation is not None else "")
    )
    return prepared


def run_train(
    context: RunContext,
    prepared: "Prepared | None" = None,
    *,
    resume: bool = False,
    launcher: Launcher | None = None,
    watch: "Callable[[Sequence[HeldOutPoint]], None] | None" = None,
) -> TrainingRecord:
    """Trains on the run's data and writes the adapter and training.json.

    Args:
        context: A run with pins.
        prepared: The run's data if it was read already.
        resume: Whether to continue from a checkpoint, if there is one.
        launcher: Starts the processes to train in; None to train in this one.
        watch: Called with the measurements of the held-out rows so far, after each; what it raises ends the training.

    Raises:
        HubtuneError: As `run_data`; and the model cannot be loaded, the run diverged, the disk is full.
    """
    require_train("Training")
    from hubtune.train.training import train

    require_reporting(context.config.train)
    require_launcher(context.config, launcher)
    if launcher is not None:
        # Here, once: the processes find the rows in the cache.
        prepared = prepared or run_data(context)
        record = launcher.train(context.run, context.progress, resume=resume)
    else:
        record = train(context.train_job(prepared or run_data(context), resume=resume, watch=watch))
    if context.job is not None:
        record = record.model_copy(update={"job": context.job})
    context.run.write(record)
    return record


def resume_train(context: RunContext, *, launcher: Launcher | None = None) -> TrainingRecord:
    """Resumes a stopped training from its newest complete checkpoint; a finished training stays as it is.

    Args:
        context: A run with pins.
        launcher: As `run_train` takes it.

    Raises:
        HubtuneError: As `run_train`.
    """
    run, progress = context.run, context.progress
    if run.trained:
        progress.say("Training of this run is complete: nothing to resume")
        return run.read(TrainingRecord)
    if not run.checkpoints_dir.is_dir():
        progress.say("No checkpoint to resume from: training from the start")
    return run_train(context, resume=True, launcher=launcher)


def run_evaluate(
    context: RunContext, prepared: "Prepared | None" = None, *, launcher: Launcher | None = None
) -> EvaluationRecord:
    """Measures base and tuned model on the held-out rows and writes evaluation.json and probe.json.

    Args:
        context: A run with a training record.
        prepared: The run's data if it was read already.
        launcher: Starts the processes to measure in; None to measure in this one.

    Raises:
        HubtuneError: As `run_data`; and the training record is missing, or a model cannot be loaded.
    """
    require_train("Evaluation")
    run = context.run
    run.read(TrainingRecord)
    prepared = prepared or run_data(context)
    if launcher is None:
        found = measure_run(context, prepared)
        run.write(found.probe)
        run.write(found.evaluation)
        evaluation = found.evaluation
    else:
        evaluation = launcher.evaluate(run, context.progress)
    add_evaluation(run, evaluation, context.progress)
    return evaluation


def measure_run(context: RunContext, prepared: "Prepared", *, quiet: bool = False) -> "Evaluated":
    """Measures base and tuned model on the held-out rows.

    Args:
        context: A run with a training record.
        prepared: The run's data.
        quiet: Whether the run's events leave the measures out.
    """
    from hubtune.evaluate.evaluation import evaluate
    from hubtune.models.config_files import computing

    job = context.evaluation_job(prepared)
    with computing(job.base.name):
        return evaluate(job, quiet=quiet)


def run_merge(context: RunContext) -> MergeRecord:
    """Merges the adapter into the base weights, in the folder `model`, and writes merge.json and its probe.

    Raises:
        MergeError: The adapter cannot be merged, or the merged model differs from base and adapter.
        RecordError: A record or the adapter is missing.
    """
    require_train("Merging")
    from hubtune.models.memory import environment
    from hubtune.models.pretrained import context_length, load_base
    from hubtune.models.release_model import TOLERANCES, take_probe

    run, merged = context.run, "the merged model"
    refuse_classifier(run.read(DataRecord), "merged into its base")
    record = merge_run(run, context.progress)
    model = load_base(run.model_dir, merged, record.dtype)
    probe = MergedProbeRecord(
        upstream=run.digests("merge.json"),
        precision=record.dtype,
        tolerance=TOLERANCES[record.dtype],
        difference=None,
        prompts=take_probe(model, context.base.tokenizer, context_length(run.model_dir, merged)),
        environment=environment(),
    )
    run.write(probe)
    return record


def needs_merge(context: RunContext, config: TuneConfig) -> bool:
    """Whether the adapter still needs to be merged into the weights of the base model."""
    run = context.run
    merged = run.has(MergeRecord) and run.has(MergedProbeRecord) and run.model_dir.is_dir()
    return config.publish.artifact == "merged" and not config.train.whole and not merged


def run_card(context: RunContext) -> CardInputs:
    """Renders and checks the model card and writes README.md and its images.

    Returns:
        What the card was made from.

    Raises:
        CardError: The card is incomplete or holds a placeholder.
        EditedCardError: README.md was edited by hand.
        RecordError: A record is missing.
    """
    planning.refuse_edited_card(context.run)
    inputs = planning.card_inputs(context.run, context.config)
    planning.RunCard.render(inputs).write(context.run)
    return inputs


def renew_card(context: RunContext) -> CardInputs:
    """Renders the card as `run_card` does; a card that was edited by hand is kept under another name.

    Raises:
        CardError: The card is incomplete or holds a placeholder. The edited one stays where it is.
        RecordError: A record is missing.
    """
    run = context.run
    inputs = planning.card_inputs(run, context.config)
    card = planning.RunCard.render(inputs)
    for name in planning.edited_card_files(run):
        kept = planning.keep_edited(run, name)
        context.progress.warn(f"{name} was edited by hand: your version is kept as {kept}")
    card.write(run)
    return inputs


def run_publish(context: RunContext, target: TargetOptions | None = None) -> ReleaseRecord:
    """Publishes the run as one commit with a tag, or as a pull request, and writes release.json.

    Args:
        context: A run with all records.
        target: Overrides of the config; the card is rendered again with them.

    Raises:
        HubtuneError: See `hubtune.publish.push.push`. Nothing was published.
    """
    run, progress = context.run, context.progress
    planning.refuse_edited_card(run)
    target = target or TargetOptions()
    config = planning.with_target(context.config, target)
    if config.publish.repo is not None and needs_merge(context, config):
        run_merge(context)
    planned = planning.plan_publish(run, config)
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
        planned.card.write(run)
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
    add_release(run, record, progress)
    return record
