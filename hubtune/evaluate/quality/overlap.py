"""How far generated texts share words with the held-out rows: BLEU and chrF of sacrebleu, ROUGE of rouge-score."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from hubtune.evaluate.bench import Bench
from hubtune.evaluate.intervals import Resampled, mean_of
from hubtune.evaluate.measuring import measure_of
from hubtune.evaluate.quality.written import no_text, writing_settings, written
from hubtune.records.evaluation import Measure

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Sacrebleu

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
