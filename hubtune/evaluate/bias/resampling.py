"""The bootstrap over templates: sentences of one template are alike, so a template is drawn whole (Efron, 1979)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
METHOD = f"bootstrap over templates, paired for tuned - base, {RESAMPLES} resamples, 95 % percentile interval"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """Means of draws of templates.

    Attributes:
        draws: How often each template was drawn, shape (resamples, templates).
        groups: The template of each value, shape (values,).
    """

    draws: Values
    groups: npt.NDArray[np.int64]

    def means(self, values: Values) -> Values:
        """Returns the mean over all values of the templates drawn, shape (resamples,)."""
        templates = self.draws.shape[1]
        sums = np.bincount(self.groups, weights=values, minlength=templates)
        counts = np.bincount(self.groups, minlength=templates)
        means: Values = (self.draws @ sums) / (self.draws @ counts)
        return means


def resampled(templates: Sequence[str], seed: int) -> Resampled:
    """Draws templates with replacement.

    Args:
        templates: The template of each value.
        seed: The same seed gives the same draws, so that base and tuned model are resampled alike.
    """
    numbers = {template: number for number, template in enumerate(dict.fromkeys(templates))}
    size = len(numbers)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    return Resampled(drawn.astype(np.float64), np.array([numbers[template] for template in templates]))


def interval(means: Values) -> tuple[float, float]:
    """Returns the 95 % percentile interval."""
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def p_value(differences: Values) -> float:
    """Returns the two-sided p-value of no difference: twice the smaller share of resamples on one side of zero.

    It is never zero, since the sample itself counts as one resample (Davison and Hinkley, 1997, 4.2).
    """
    below, above = int((differences <= 0).sum()), int((differences >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1))
