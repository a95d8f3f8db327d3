"""Exact match and token F1, for prompts with responses, as SQuAD defines them (Rajpurkar et al., 2016)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from hubtune.evaluate.bench import Bench
from hubtune.evaluate.intervals import mean_of
from hubtune.evaluate.measuring import measure_of, rate_of
from hubtune.evaluate.quality.written import no_answers, writing_settings, written
from hubtune.records.evaluation import Measure

_NORMALISED = "lower case, no ASCII punctuation, no a/an/the, white space folded (SQuAD 1.1)"
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ExactMatch:
    """Share of responses that are the row's, after normalising both."""

    name = "exact_match"

    def unfit(self, bench: Bench) -> str | None:
        return no_answers(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        texts = written(bench)
        hits = {
            side: np.array([normalised(a) == normalised(b) for a, b in zip(made, texts.references, strict=True)])
            for side, made in texts.texts.items()
        }
        return [rate_of(self.name, hits, bench.seed, settings={"normalised": _NORMALISED, **writing_settings(bench)})]


class TokenF1:
    """Mean over the rows of the F1 of the words that a response shares with the row's."""

    name = "token_f1"

    def unfit(self, bench: Bench) -> str | None:
        return no_answers(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        texts = written(bench)
        sides = {
            side: mean_of([token_f1(a, b) for a, b in zip(made, texts.references, strict=True)])
            for side, made in texts.texts.items()
        }
        settings = {"normalised": _NORMALISED, **writing_settings(bench)}
        return [measure_of(self.name, sides, len(texts.references), bench.seed, settings=settings)]


def normalised(answer: str) -> str:
    """Returns an answer as SQuAD 1.1 compares it."""
    words = re.sub(r"\b(a|an|the)\b", " ", answer.lower().translate(_PUNCTUATION))
    return " ".join(words.split())


def token_f1(answer: str, reference: str) -> float:
    """Returns the F1 of the words that an answer shares with its reference; two empty ones are equal."""
    given, wanted = normalised(answer).split(), normalised(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))
