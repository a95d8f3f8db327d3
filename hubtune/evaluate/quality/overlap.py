"""How far generated texts share words with the held-out rows: BLEU and chrF of sacrebleu, ROUGE of rouge-score."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from hubtune.evaluate.bench import Bench, Side
from hubtune.evaluate.intervals import Resampled, mean_of, measure_of, rate_of
from hubtune.records.evaluation import Measure

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Sacrebleu


@dataclass(frozen=True)
class Written:
    """Texts to compare, one line each: runs of white space are folded to a space, as a file of lines would have them.

    Attributes:
        references: What each row says.
        texts: What each side wrote there.
    """

    references: list[str]
    texts: dict[Side, list[str]]


def written(bench: Bench) -> Written:
    """Has every side go on from the held-out rows, once for all metrics."""
    texts = {side: [_one_line(made.text) for made in bench.continuations(side)] for side in bench.sides}
    return Written([_one_line(row.reference) for row in bench.begun.rows], texts)


def writing_settings(bench: Bench) -> dict[str, str]:
    """Returns how the texts were made, for a measure's settings."""
    return {"given": bench.begun.given, "decoding": f"greedy, at most {bench.max_new_tokens} new tokens"}


def no_text(bench: Bench) -> str | None:
    """Returns why nothing is written on this bench, None where something is."""
    if bench.classes:
        return "the model classifies texts and cannot write any"
    return None if bench.begun.rows else "no held-out row has a beginning that a model could continue"


def no_answers(bench: Bench) -> str | None:
    """Returns why there are no answers to compare with, None where there are."""
    return no_text(bench) or (None if bench.begun.asked else "the rows are not prompts with responses")


def _one_line(text: str) -> str:
    return " ".join(text.split())


_FOLDED = "runs of white space folded to a space"


class Bleu:
    """Corpus BLEU (Papineni et al., 2002) with sacrebleu's defaults, 0 to 100."""

    name = "bleu"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        from sacrebleu.metrics import BLEU

        return [_sacrebleu(self.name, BLEU(), bench)]


class Chrf:
    """Corpus chrF2 (Popović, 2015) with sacrebleu's defaults, 0 to 100."""

    name = "chrf"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        from sacrebleu.metrics import CHRF

        return [_sacrebleu(self.name, CHRF(), bench)]


class Rouge:
    """Mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004) over the rows, 0 to 1, without stemming."""

    name = "rouge"

    def unfit(self, bench: Bench) -> str | None:
        return no_text(bench)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        from rouge_score.rouge_scorer import RougeScorer

        kinds = ("rouge1", "rouge2", "rougeL")
        scorer, texts = RougeScorer(list(kinds)), written(bench)
        scores = {
            side: [scorer.score(*pair) for pair in zip(texts.references, made, strict=True)]
            for side, made in texts.texts.items()
        }
        signature = f"rouge-score {version('rouge-score')}, F1, mean over rows, no stemming"
        return [
            measure_of(
                kind,
                {side: mean_of([row[kind].fmeasure for row in rows]) for side, rows in scores.items()},
                len(texts.references),
                bench.seed,
                settings={"signature": signature, **writing_settings(bench)},
            )
            for kind in kinds
        ]


def _sacrebleu(name: str, metric: "Sacrebleu", bench: Bench) -> Measure:
    texts = written(bench)
    sides = {side: _corpus(metric, made, texts.references) for side, made in texts.texts.items()}
    return measure_of(
        name,
        sides,
        len(texts.references),
        bench.seed,
        # The metric knows its whole signature only now that it has seen references.
        settings={"signature": f"{metric.get_signature()}, {_FOLDED}", **writing_settings(bench)},
    )


def _corpus(metric: "Sacrebleu", texts: Sequence[str], references: Sequence[str]) -> Resampled:
    """Returns the score of drawn rows taken as a corpus, from the counts of each row.

    sacrebleu's own resampling gives the interval of a side, and not of the difference of two; so the counts are summed
    here, which is why this goes below its public methods.
    """
    counts = np.array(metric._extract_corpus_statistics(texts, [references]), dtype=np.int64)

    def value(draws: np.ndarray) -> np.ndarray:
        return np.array([metric._compute_score_from_stats(counts[draw].sum(axis=0).tolist()).score for draw in draws])

    return value


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
