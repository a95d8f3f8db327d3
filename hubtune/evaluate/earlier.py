"""How well a model still does what it learnt before, on the held-out rows of that earlier task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hubtune.data.tokens import Example
from hubtune.evaluate.bench import Bench
from hubtune.evaluate.intervals import LEAST_ROWS, RESAMPLES, paired_bootstrap, ratio_of
from hubtune.evaluate.quality.likelihood import BitsPerByte, Perplexity
from hubtune.evaluate.running import run_metrics
from hubtune.records.evaluation import EARLIER_HELD_OUT, Measure
from hubtune.records.training import EarlierTaskRecord

_METHOD = f"paired bootstrap over rows, {RESAMPLES} resamples, 95 % percentile interval of after - before"


@dataclass(frozen=True)
class Earlier:
    """An earlier task.

    Attributes:
        held_out: Its rows that nothing was learnt from.
        task: How well the training found it known before and after; None where that is not to be told again.
    """

    held_out: Sequence[Example]
    task: EarlierTaskRecord | None = None


def measure_earlier(bench: Bench, earlier: Earlier) -> Iterator[Measure]:
    """Yields the measures of an earlier task, which are of a split of their own.

    Args:
        bench: What the new task is measured on.
        earlier: The earlier one.
    """
    own = replace(bench, held_out=earlier.held_out, _likelihoods={})
    for measure in run_metrics(own, [Perplexity(), BitsPerByte()], by_name=True):
        yield measure.model_copy(update={"split": EARLIER_HELD_OUT})
    if earlier.task is not None:
        yield _forgetting(earlier.task, bench.seed)


def _forgetting(task: EarlierTaskRecord, seed: int) -> Measure:
    few = task.rows < LEAST_ROWS
    interval = None
    if task.row_tokens and not few:
        before, after = (ratio_of(sums, task.row_tokens) for sums in (task.row_before, task.row_after))
        interval = paired_bootstrap(before, after, task.rows, seed)
    said = "mean loss after the training less that before its first step, in nats per token"
    return Measure(
        name="forgetting",
        split=EARLIER_HELD_OUT,
        n=task.rows,
        tokens=task.tokens,
        base=None,
        tuned=task.forgetting,
        difference=task.forgetting,
        interval=interval,
        interval_method=_METHOD if interval else None,
        seed=seed if interval else None,
        status="insufficient data" if few else "measured",
        detail=f"{said}; {task.rows:,} rows were measured, {LEAST_ROWS:,} are the least to rely on" if few else said,
    )
