"""Intervals for the difference of two models on the same items, by the paired bootstrap (Efron, 1979)."""

import numpy as np

from hubtune.evaluate.perplexity import Likelihoods

RESAMPLES = 2000
METHOD = f"paired bootstrap over rows, {RESAMPLES} resamples, 95 % percentile interval of tuned - base"
# Below this many rows a percentile interval says little.
LEAST_ROWS = 10


def perplexity_difference(base: Likelihoods, tuned: Likelihoods, seed: int) -> tuple[float, float]:
    """Returns the 95 % percentile interval of perplexity(tuned) - perplexity(base), resampling whole rows."""
    draws = np.random.default_rng(seed).integers(0, len(base.nll), size=(RESAMPLES, len(base.nll)))
    tokens = base.tokens[draws].sum(axis=1)
    differences = np.exp(tuned.nll[draws].sum(axis=1) / tokens) - np.exp(base.nll[draws].sum(axis=1) / tokens)
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)
