"""The metrics of bias, in the order in which they are measured."""

from hubtune.evaluate.bias.gap import CounterfactualGap
from hubtune.evaluate.bias.preference import PairPreference
from hubtune.evaluate.bias.word_list import WordListHits
from hubtune.evaluate.metric import Metric

BIAS_METRICS: tuple[Metric, ...] = (CounterfactualGap(), PairPreference(), WordListHits())
