"""The claim about the evaluation: the published adapter, measured again on the pinned data, gives the same values."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from hubtune.config.evaluation import BiasConfig
from hubtune.config.release_config import require_none_of_release
from hubtune.errors import ReleaseError
from hubtune.pipeline.context import RunContext, require_train
from hubtune.pipeline.stages import run_evaluate
from hubtune.records.base import Progress
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.pins import PinSet
from hubtune.records.release import CONFIG, PLACES
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord
from hubtune.verify.model_claims import check_adapter, fetch_base_model, fetch_input
from hubtune.verify.release_documents import Subject, UncheckedError, refuse

REPEATABLE = ("perplexity", "bits_per_byte")
"""The measures that are measured again: means over the probabilities of given tokens.

A generated text turns on which of two tokens is a little likelier somewhere, and so do shares of likeliest tokens and
of likelier sentences: on another processor they may come out differently from the same model."""
TOLERANCES = {"fp32": 1e-3, "fp16": 5e-3, "bf16": 2e-2}
"""How far a value may be from the recorded one, as a share of it, by precision.

A perplexity is the exponential of a mean over many tokens, so its relative error is the mean's absolute one: logits
that processors and kernels round differently (see `hubtune.models.probe.TOLERANCES`) average out to less than this."""


def check_evaluation(
    subject: Subject, progress: Progress, folder: Path, *, wanted: bool, allow_remote_code: str | None = None
) -> str:
    """Measures again, in a run directory made in `folder` from what was published, where that is `wanted`."""
    if not wanted:
        raise UncheckedError("measuring again takes time: add --evaluate")
    require_train("Evaluation")
    recorded = subject.documents.need(EvaluationRecord)
    names = [measure.name for measure in recorded.of_task]
    if not set(REPEATABLE) & {measure.name for measure in recorded.measures}:
        raise UncheckedError(f"none of {', '.join(REPEATABLE)} was recorded, and no other measure is measured again")
    run = _run(subject, [name for name in REPEATABLE if name in names], folder, allow_remote_code)
    pins = run.read(PinSet)
    fetch_base_model(subject, progress, allow_remote_code)
    for pin in [*pins.data, *pins.earlier]:
        fetch_input(pin, progress, "the data set")
    measured = run_evaluate(RunContext(run, progress))
    refuse(list(_differences(recorded, measured)))
    found = ", ".join(_shown(measure) for measure in measured.measures if measure.name in REPEATABLE)
    said = f"measured again: {found}; within {TOLERANCES[recorded.precision]:.1%} of the recorded values"
    others = [measure.name for measure in recorded.measures if measure.name not in REPEATABLE]
    return f"{said}; not measured again: {', '.join(others)}" if others else said


def _run(subject: Subject, metrics: list[str], folder: Path, allow_remote_code: str | None) -> RunDirectory:
    documents = subject.documents
    if documents.manifest.artifact != "adapter":
        raise UncheckedError("measuring base against tuned needs the adapter, and the release has merged weights")
    config, training = documents.need_config(), documents.need(TrainingRecord)
    try:
        require_none_of_release(config, CONFIG, given=["evaluate.bias="])
    except ReleaseError as error:
        raise UncheckedError(error.message) from error
    # How the card is written has no part in measuring, and its templates are on another disk. Whether code is run is
    # for who verifies to say, not for who published.
    without = config.model_copy(
        update={
            "base": config.base.model_copy(update={"allow_remote_code": allow_remote_code}),
            "card": config.card.model_copy(update={"templates": None}),
            "evaluate": config.evaluate.model_copy(update={"metrics": metrics, "bias": BiasConfig()}),
        }
    )
    check_adapter(subject)
    run = RunDirectory.create(without, path=folder)
    for kind in (PinSet, DataRecord, TrainingRecord):
        documents.need(kind)
        shutil.copyfile(subject.folder / PLACES[kind], run.record_file(kind))
    run.adapter_dir.mkdir()
    for name in sorted(training.files.keys() & subject.digests.keys()):
        if "/" not in name:
            shutil.copyfile(subject.folder / name, run.adapter_dir / name)
    return run


def _differences(recorded: EvaluationRecord, measured: EvaluationRecord) -> Iterator[str]:
    known = {(measure.name, measure.split): measure for measure in recorded.measures if measure.name in REPEATABLE}
    found = {(measure.name, measure.split): measure for measure in measured.measures if measure.name in REPEATABLE}
    for key in sorted(known.keys() ^ found.keys()):
        yield f"{key[0]} on {key[1]} rows is {'recorded' if key in known else 'measured'} only"
    tolerance = TOLERANCES[measured.precision]
    for key in sorted(known.keys() & found.keys()):
        before, now = known[key], found[key]
        if (before.n, before.status) != (now.n, now.status):
            yield f"{key[0]}: {now.n} rows, {now.status}; recorded are {before.n} rows, {before.status}"
        for side in ("base", "tuned"):
            old, new = getattr(before, side), getattr(now, side)
            if (old is None) != (new is None) or (old is not None and not abs(new - old) <= tolerance * abs(old)):
                yield f"{key[0]} of the {side} model is {new}, and {old} is recorded"


def _shown(measure: Measure) -> str:
    sides = [f"{name} {value:.4g}" for name, value in (("base", measure.base), ("tuned", measure.tuned)) if value]
    return f"{measure.name} on {measure.n} {measure.split} rows ({', '.join(sides)})"
