"""Perplexity, bits per byte and token accuracy: three views of one pass over the held-out rows."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hubtune.data.tokens import IGNORED, Example
from hubtune.evaluate.bench import Bench, Likelihoods, Side
from hubtune.evaluate.intervals import Resampled, measure_of, ratio_of
from hubtune.models.generation import plain_text
from hubtune.records.evaluation import Measure

_BYTES = "UTF-8 bytes of the text of the target tokens; tokens without text, such as EOS, add bits and no bytes"


class Perplexity:
    """exp(total negative log-likelihood / total predicted tokens)."""

    name = "perplexity"

    def unfit(self, bench: Bench) -> str | None:
        return _unfit(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        def value(found: Likelihoods) -> Resampled:
            return ratio_of(found.nll, found.tokens, np.exp)

        return [_measure(self.name, bench, value)]


class BitsPerByte:
    """Total negative log-likelihood in bits / bytes of the predicted text: comparable between tokenizers."""

    name = "bits_per_byte"

    def unfit(self, bench: Bench) -> str | None:
        return _unfit(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        sizes = np.array([predicted_bytes(bench, example) for example in bench.held_out])

        def value(found: Likelihoods) -> Resampled:
            return ratio_of(found.nll / math.log(2), sizes)

        return [_measure(self.name, bench, value, {"bytes": _BYTES, "total_bytes": str(int(sizes.sum()))})]


class TokenAccuracy:
    """Share of predicted tokens that were the likeliest."""

    name = "token_accuracy"

    def unfit(self, bench: Bench) -> str | None:
        return _unfit(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        def value(found: Likelihoods) -> Resampled:
            # A row whose loss is no number has no likeliest token either.
            return ratio_of(np.where(np.isfinite(found.nll), found.correct, np.nan), found.tokens)

        return [_measure(self.name, bench, value)]


def predicted_bytes(bench: Bench, example: Example) -> int:
    """Returns the UTF-8 bytes of the text that a row's predicted tokens stand for, special tokens left out.

    They are those of the row up to the end of each run of predicted tokens, less those up to its start, so that
    characters of several tokens count whole. The first token of a row is not predicted.
    """
    predicted = [False, *(label != IGNORED for label in example.labels[1:])]
    size = 0
    for place, counts in enumerate(predicted):
        if counts and not predicted[place - 1]:
            size -= _size(bench, example.input_ids[:place])
        if counts and not (place + 1 < len(predicted) and predicted[place + 1]):
            size += _size(bench, example.input_ids[: place + 1])
    return size


def _size(bench: Bench, ids: Sequence[int]) -> int:
    return len(plain_text(bench.tokenizer, ids).encode())


def _unfit(bench: Bench) -> str | None:
    return "the model classifies texts and cannot write any" if bench.classes else None


def _measure(
    name: str, bench: Bench, value: Callable[[Likelihoods], Resampled], settings: Mapping[str, str] | None = None
) -> Measure:
    found: dict[Side, Likelihoods] = {side: bench.likelihoods(side) for side in bench.sides}
    tokens = int(next(iter(found.values())).tokens.sum())
    measure = measure_of(
        name,
        {side: value(each) for side, each in found.items()},
        len(bench.held_out),
        bench.seed,
        tokens=tokens,
        settings=dict(settings or {}),
    )
    if measure.status == "failed":
        return measure.model_copy(update={"detail": _faults(found)})
    return measure


def _faults(found: Mapping[Side, Likelihoods]) -> str:
    counts = {side: int((~np.isfinite(each.nll)).sum()) for side, each in found.items()}
    rows = len(next(iter(found.values())).nll)
    told = [f"{count:,} of {rows:,} rows for the {side} model" for side, count in counts.items() if count]
    return f"the loss is NaN or infinite in {' and '.join(told)}" if told else "the values are too large"
