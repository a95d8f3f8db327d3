"""How base and tuned model treat groups of people: on templates, on pairs of sentences, and in what they write."""

from hubtune.evaluate.bias.gap import CounterfactualGap
from hubtune.evaluate.bias.preference import PairPreference
from hubtune.evaluate.bias.word_list import WordListHits
from hubtune.evaluate.metric import Metric

BIAS_METRICS: tuple[Metric, ...] = (CounterfactualGap(), PairPreference(), WordListHits())
"""What the registry of metrics takes from here."""
