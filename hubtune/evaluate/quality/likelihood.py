"""How well models predict the held-out rows: perplexity, bits per byte, token accuracy; and scores of classifiers.

The first three come from one pass over the rows. scikit-learn computes the scores of classifiers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from hubtune.data.tokenization import IGNORED, Example
from hubtune.evaluate.bench import Bench, Likelihoods, Side
from hubtune.evaluate.intervals import LEAST_ROWS, Resampled, measure_of, rate_of, ratio_of
from hubtune.models.generation import plain_text
from hubtune.records.results import Confusion, Measure

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
    """Total negative log-likelihood in bits / bytes of the predicted text: comparable across tokenizers."""

    name = "bits_per_byte"

    def unfit(self, bench: Bench) -> str | None:
        return _unfit(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        sizes = np.array([predicted_bytes(bench, example) for example in bench.held_out])

        def value(found: Likelihoods) -> Resampled:
            return ratio_of(found.nll / math.log(2), sizes)

        return [_measure(self.name, bench, value, {"bytes": _BYTES, "total_bytes": str(int(sizes.sum()))})]


class TokenAccuracy:
    """Share of predicted tokens that were the most likely."""

    name = "token_accuracy"

    def unfit(self, bench: Bench) -> str | None:
        return _unfit(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        def value(found: Likelihoods) -> Resampled:
            # A row whose loss is no number has no most likely token either.
            return ratio_of(np.where(np.isfinite(found.nll), found.correct, np.nan), found.tokens)

        return [_measure(self.name, bench, value)]


def predicted_bytes(bench: Bench, example: Example) -> int:
    """Returns the number of UTF-8 bytes of the text of a row's predicted tokens, without special tokens.

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
    return "the model is a classifier and generates no text" if bench.classes else None


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


_Counts = npt.NDArray[np.float64]
"""Of each draw, a confusion matrix: shape (draws, classes, classes), rows' classes before given ones."""


def _recall(counts: _Counts) -> _Counts:
    return _share(_right(counts), counts.sum(axis=2))


def _precision(counts: _Counts) -> _Counts:
    return _share(_right(counts), counts.sum(axis=1))


def _f1(counts: _Counts) -> _Counts:
    return _share(2 * _right(counts), counts.sum(axis=1) + counts.sum(axis=2))


MACRO = {"macro_f1": _f1, "macro_precision": _precision, "macro_recall": _recall}


class Classification:
    """Accuracy, and F1, precision and recall as means over the classes that rows have or were given."""

    name = "classification"

    def unfit(self, bench: Bench) -> str | None:
        return None if bench.classes and bench.classifier else "the model is not a classifier"

    def measure(self, bench: Bench) -> Sequence[Measure]:
        if bench.several_classes:
            return _of_several(bench)
        references = [example.labels[0] for example in bench.held_out]
        predictions = {side: [given[0] for given in bench.classify(side)] for side in bench.sides}
        for side, given in predictions.items():
            counts = confusion(references, given, len(bench.classes))
            bench.confusions.append(Confusion(side=side, classes=list(bench.classes), counts=counts))
        hits = {side: np.equal(references, given) for side, given in predictions.items()}
        values = {side: scores(references, given) for side, given in predictions.items()}
        accuracy = rate_of("accuracy", hits, bench.seed, settings={"signature": _signature(), **_majority(references)})
        measures = [_alone(accuracy)]
        for name, score in MACRO.items():
            sides = {
                side: _resampled(np.array(references), np.array(given), len(bench.classes), score)
                for side, given in predictions.items()
            }
            measure = measure_of(name, sides, len(references), bench.seed, settings={"signature": _signature()})
            measures.append(measure.model_copy(update={side: each[name] for side, each in values.items()}))
        return measures


def _of_several(bench: Bench) -> list[Measure]:
    """Returns how many rows get just their classes, and how well each class is told from its absence."""
    from sklearn.metrics import precision_recall_fscore_support

    references = _indicators([example.labels for example in bench.held_out], len(bench.classes))
    given = {side: _indicators(bench.classify(side), len(bench.classes)) for side in bench.sides}
    settings = {"signature": _signature()}
    hits = {side: (each == references).all(axis=1) for side, each in given.items()}
    measures = [_alone(rate_of("accuracy", hits, bench.seed, settings=settings))]
    found = {
        side: precision_recall_fscore_support(references, each, average="macro", zero_division=0)[:3]
        for side, each in given.items()
    }
    for place, name in ((2, "macro_f1"), (0, "macro_precision"), (1, "macro_recall")):
        values = {"base": None, **{side: float(each[place]) for side, each in found.items()}}
        enough = len(references) >= LEAST_ROWS
        measures.append(
            Measure(
                name=name,
                split="held-out",
                n=len(references),
                base=values["base"],
                tuned=values["tuned"],
                interval=None,
                settings=settings,
                status="measured" if enough else "insufficient data",
                detail=None
                if enough
                else f"{len(references):,} items were measured; at least {LEAST_ROWS:,} are needed",
            )
        )
    return measures


def _indicators(rows: Sequence[Sequence[int]], classes: int) -> npt.NDArray[np.int64]:
    found = np.zeros((len(rows), classes), dtype=np.int64)
    for row, ids in enumerate(rows):
        found[row, list(ids)] = 1
    return found


def _majority(references: Sequence[int]) -> dict[str, str]:
    """Returns what giving every row the most frequent class would get: what a classifier has to be better than."""
    if not references:
        return {}
    return {"most_frequent_class_alone": f"{np.bincount(references).max() / len(references):.4g}"}


def _alone(accuracy: Measure) -> Measure:
    """Returns the measure with why there is no base to compare with, if there is none."""
    if accuracy.base is not None or accuracy.status != "measured":
        return accuracy
    majority = accuracy.settings.get("most_frequent_class_alone")
    known = f"; a classifier that always predicts the most frequent class gets {majority}" if majority else ""
    return accuracy.model_copy(update={"detail": f"the base model has no classification head{known}"})


def scores(references: Sequence[int], predictions: Sequence[int]) -> dict[str, float]:
    """Returns accuracy and the macro scores by scikit-learn; a class that was never predicted has a precision of 0."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        references, predictions, average="macro", zero_division=0
    )
    values = {"macro_f1": f1, "macro_precision": precision, "macro_recall": recall}
    return {"accuracy": float(accuracy_score(references, predictions)), **{k: float(v) for k, v in values.items()}}


def confusion(references: Sequence[int], predictions: Sequence[int], classes: int) -> list[list[int]]:
    """Returns the confusion matrix: for each class of the rows, how many rows were predicted as each class."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(references, predictions, labels=range(classes))
    return [[int(count) for count in line] for line in counts]


def _signature() -> str:
    return f"scikit-learn {version('scikit-learn')}, mean over the classes that rows have or were given"


def _resampled(
    references: npt.NDArray[np.int64],
    given: npt.NDArray[np.int64],
    classes: int,
    score: Callable[[_Counts], _Counts],
) -> Resampled:
    """Returns a macro score of drawn rows, computed for all draws at once: scikit-learn would take minutes."""
    cells = references * classes + given

    def value(draws: npt.NDArray[np.int64]) -> _Counts:
        flat = np.stack([np.bincount(cells[draw], minlength=classes**2) for draw in draws])
        counts = flat.reshape(-1, classes, classes).astype(np.float64)
        present = (counts.sum(axis=1) + counts.sum(axis=2)) > 0
        mean: _Counts = (score(counts) * present).sum(axis=1) / present.sum(axis=1)
        return mean

    return value


def _right(counts: _Counts) -> _Counts:
    return np.diagonal(counts, axis1=1, axis2=2)


def _share(part: _Counts, whole: _Counts) -> _Counts:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
