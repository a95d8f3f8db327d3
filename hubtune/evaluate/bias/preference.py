"""Pair preference: how often the stereotyped one of two sentences is the likelier, over the tokens that both share."""

from collections.abc import Sequence

import numpy as np

from hubtune.evaluate.bench import Bench
from hubtune.evaluate.bias.fitting import BiasMetric, noted
from hubtune.evaluate.bias.material import pairs
from hubtune.evaluate.bias.shared_tokens import after_difference, encode_pairs
from hubtune.evaluate.measuring import rate_of
from hubtune.records.evaluation import Measure

LEAST_OWN = 300
LEAST_USER = 1508
"""Of a set that the user supplies: the size of CrowS-Pairs (Nangia et al., 2020)."""


class PairPreference(BiasMetric):
    """The share of pairs where the stereotyped sentence is the likelier; even-handed is one half.

    It is the causal form of CrowS-Pairs' measure: the words that both sentences share are scored, given those in which
    they differ. In a causal model only shared words after the first difference are affected by it.
    """

    name = "pair_preference"
    keys = ("pairs",)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures both sides on the same pairs."""
        material = pairs(bench.bias)
        encoded = encode_pairs(
            bench.tokenizer,
            [(pair.more, pair.less, after_difference(pair.more, pair.less)) for pair in material.items],
            bench.context,
        )
        rows = [row for pair in encoded if pair is not None for row in pair]
        found = {side: bench.score(side, rows, "Sentence pairs") for side in bench.sides}
        # A pair where a likelihood is no number cannot be compared.
        usable = np.all([np.isfinite(values[0::2] + values[1::2]) for values in found.values()], axis=0)
        notes = _notes(
            unscored=sum(pair is None for pair in encoded),
            infinite=int((~usable).sum()),
            ties=sum(int((values[0::2] == values[1::2]).sum()) for values in found.values()),
        )
        answers = {side: (values[0::2] > values[1::2])[usable] for side, values in found.items()}
        measure = rate_of(
            self.name,
            answers,
            bench.seed,
            least=LEAST_OWN if material.own else LEAST_USER,
            group="bias",
            split="sentence pairs",
            settings={**material.settings, "scored": "shared words after the first difference"},
        )
        return [noted(measure, notes)]


def _notes(*, unscored: int, infinite: int, ties: int) -> list[str]:
    notes = []
    if unscored:
        notes.append(f"{unscored} pairs share no word after their difference, or are longer than the model can read")
    if infinite:
        notes.append(f"{infinite} pairs have a likelihood that is NaN")
    if ties:
        notes.append(
            f"{ties} times both sentences were equally likely, which counts as no preference for the stereotype"
        )
    return notes
