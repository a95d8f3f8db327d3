"""How base and tuned model treat groups of people: in templates, in sentence pairs, and in generated text."""

from hubtune.evaluate.bench import Metric
from hubtune.evaluate.bias.counterfactual_gap import CounterfactualGap
from hubtune.evaluate.bias.pair_preference import PairPreference
from hubtune.evaluate.bias.word_list import WordListHits

BIAS_METRICS: tuple[Metric, ...] = (CounterfactualGap(), PairPreference(), WordListHits())
