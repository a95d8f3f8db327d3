"""The evaluate stage: the base model and the tuned one on the same held-out rows."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.bootstrap import LEAST_ROWS, METHOD, perplexity_difference
from hubtune.evaluate.perplexity import likelihoods
from hubtune.models.environment import environment
from hubtune.models.load import load_adapter, load_base, pad_id
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def evaluate(
    run: RunDirectory,
    config: TuneConfig,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    training: TrainingRecord,
    held_out: Sequence[Example],
    progress: Progress,
) -> EvaluationRecord:
    """Measures both models in the precision of the training; the base through the same weights, the adapter off.

    Returns:
        The evaluation record; its upstream digests are those of the run directory now.

    Raises:
        ModelError: The base model or the adapter cannot be loaded.
    """
    settings = config.evaluate
    model = load_adapter(load_base(base_folder, config.base.repo, training.precision), run.adapter_dir)
    padding = pad_id(tokenizer)
    batches = math.ceil(len(held_out) / settings.batch_size)
    with progress.task("Evaluating", 2 * batches) as task:
        with model.disable_adapter():
            base = likelihoods(model, held_out, padding, settings.batch_size, lambda: task.advance(note="base"))
        tuned = likelihoods(model, held_out, padding, settings.batch_size, lambda: task.advance(note="tuned"))
    enough = len(held_out) >= LEAST_ROWS
    measure = Measure(
        name="perplexity",
        split="held-out",
        n=len(held_out),
        tokens=int(base.tokens.sum()),
        base=base.perplexity,
        tuned=tuned.perplexity,
        interval=perplexity_difference(base, tuned, settings.seed) if enough else None,
        interval_method=METHOD if enough else None,
        status="measured" if enough else "insufficient data",
        detail=None if enough else f"{len(held_out)} rows are held out; {LEAST_ROWS} are the least for an interval",
    )
    run.event("evaluate", event="measure", name=measure.name, base=measure.base, tuned=measure.tuned, n=measure.n)
    return EvaluationRecord(
        upstream=run.digests("config", "evaluate", "data.json", "training.json"),
        measures=[measure],
        precision=training.precision,
        batch_size=settings.batch_size,
        max_items=settings.max_items,
        seed=settings.seed,
        environment=environment(),
    )
