"""The evaluate stage: the base model and the tuned one on the same held-out rows."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.data.tokens import Example
from hubtune.evaluate.bench import Bench, Sides
from hubtune.evaluate.bootstrap import LEAST_ROWS, METHOD, perplexity_difference
from hubtune.evaluate.perplexity import Likelihoods
from hubtune.models.environment import environment
from hubtune.models.generation import safe_generation_config
from hubtune.models.load import context_length, load_adapter, load_base
from hubtune.models.probe import TOLERANCES, replay, take_probe
from hubtune.records.evaluation import EvaluationRecord, Measure
from hubtune.records.probe import ProbeRecord
from hubtune.records.progress import Progress
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Evaluated:
    """What the evaluate stage found: the measures, and what the tuned model says to fixed prompts."""

    evaluation: EvaluationRecord
    probe: ProbeRecord


def evaluate(
    run: RunDirectory,
    config: TuneConfig,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    training: TrainingRecord,
    train: Sequence[Example],
    held_out: Sequence[Example],
    progress: Progress,
) -> Evaluated:
    """Measures both models in the precision of the training; the base through the same weights, the adapter off.

    Returns:
        The records; their upstream digests are those of the run directory now.

    Raises:
        ModelError: The base model or the adapter cannot be loaded.
    """
    settings = config.evaluate
    sides = _sides(run, training, base_folder, config.base.repo)
    context = context_length(base_folder, config.base.repo)
    bench = Bench(
        sides=sides,
        tokenizer=tokenizer,
        held_out=held_out,
        train=train,
        generation=safe_generation_config(base_folder, tokenizer, config.base.repo),
        context=context,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=progress,
    )
    measure = _perplexity(bench.likelihoods("base"), bench.likelihoods("tuned"), settings.seed)
    run.event("evaluate", event="measure", name=measure.name, base=measure.base, tuned=measure.tuned, n=measure.n)
    evaluation = EvaluationRecord(
        upstream=run.digests("config", "evaluate", "data.json", "training.json"),
        measures=[measure],
        precision=training.precision,
        batch_size=settings.batch_size,
        max_items=settings.max_items,
        seed=settings.seed,
        environment=environment(),
    )
    return Evaluated(evaluation, _probe(run, sides, tokenizer, training.precision, context))


def _sides(run: RunDirectory, training: TrainingRecord, base_folder: Path, name: str) -> Sides:
    """Loads what is measured: one model with its adapter off and on, or two models where training made a whole one."""
    base = load_base(base_folder, name, training.precision)
    if training.whole:
        tuned = load_base(run.model_dir, "the tuned model", training.precision)
        return {"base": lambda: nullcontext(base), "tuned": lambda: nullcontext(tuned)}
    model = load_adapter(base, run.adapter_dir)
    return {"base": lambda: _without_adapter(model), "tuned": lambda: nullcontext(model)}


@contextmanager
def _without_adapter(model: "PeftModel") -> Iterator["PeftModel"]:
    with model.disable_adapter():
        yield model


def _probe(
    run: RunDirectory,
    sides: Sides,
    tokenizer: "PreTrainedTokenizerBase",
    precision: str,
    context: int | None,
) -> ProbeRecord:
    with sides["tuned"]() as tuned:
        prompts = take_probe(tuned, tokenizer, context)
    with sides["base"]() as base:
        difference = replay(base, prompts).difference
    return ProbeRecord(
        upstream=run.digests("training.json"),
        precision=precision,
        tolerance=TOLERANCES[precision],
        difference=round(difference, 5),
        prompts=prompts,
        environment=environment(),
    )


def _perplexity(base: Likelihoods, tuned: Likelihoods, seed: int) -> Measure:
    rows = len(base.nll)
    values = base.perplexity, tuned.perplexity
    finite = all(math.isfinite(value) for value in values)
    enough = rows >= LEAST_ROWS
    if not finite:
        detail = f"the perplexity came out as {values[0]} for the base and {values[1]} for the tuned model"
    elif not enough:
        detail = f"{rows} rows are held out; {LEAST_ROWS} are the least for an interval"
    else:
        detail = None
    return Measure(
        name="perplexity",
        split="held-out",
        n=rows,
        tokens=int(base.tokens.sum()),
        base=values[0] if finite else None,
        tuned=values[1] if finite else None,
        difference=values[1] - values[0] if finite else None,
        interval=perplexity_difference(base, tuned, seed) if finite and enough else None,
        interval_method=METHOD if finite and enough else None,
        seed=seed if finite and enough else None,
        status="failed" if not finite else "measured" if enough else "insufficient data",
        detail=detail,
    )
