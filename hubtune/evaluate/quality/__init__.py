"""How well models predict and generate text: perplexity, overlap with references, answers, endings, samples."""

from hubtune.evaluate.bench import Metric
from hubtune.evaluate.quality.likelihood import BitsPerByte, Classification, Perplexity, TokenAccuracy
from hubtune.evaluate.quality.overlap import Bleu, Chrf, Endings, ExactMatch, Rouge, Samples, TokenF1

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
