"""The metrics of quality, in the order in which they are measured: what shares a pass over the rows stands together."""

from hubtune.evaluate.metric import Metric
from hubtune.evaluate.quality.answers import ExactMatch, TokenF1
from hubtune.evaluate.quality.classes import Classification
from hubtune.evaluate.quality.endings import Endings
from hubtune.evaluate.quality.likelihood import BitsPerByte, Perplexity, TokenAccuracy
from hubtune.evaluate.quality.overlap import Bleu, Chrf, Rouge
from hubtune.evaluate.quality.samples import Samples

QUALITY_METRICS: tuple[Metric, ...] = (
    Perplexity(),
    BitsPerByte(),
    TokenAccuracy(),
    Bleu(),
    Chrf(),
    Rouge(),
    ExactMatch(),
    TokenF1(),
    Endings(),
    Samples(),
    Classification(),
)
