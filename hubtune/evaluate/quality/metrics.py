"""The metrics of quality, in the order in which they are measured: what shares a pass over the rows stands together."""

from hubtune.evaluate.metric import Metric
from hubtune.evaluate.quality.likelihood import BitsPerByte, Perplexity, TokenAccuracy

QUALITY_METRICS: tuple[Metric, ...] = (
    Perplexity(),
    BitsPerByte(),
    TokenAccuracy(),
)
