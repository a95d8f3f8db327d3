"""What people preferred, base or tuned, when they did not know which was which."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs


@dataclass(frozen=True)
class Preference:
    """Context of `sections/_preference.md.j2`.

    Attributes:
        decided: Pairs where one side is preferred.
        ties: Pairs where neither is.
        rate: The tuned model's share of the decided pairs; None where there are none.
        sufficient: Whether there are decided pairs enough to rely on the rate.
        conclusive: Whether the interval leaves out one half.
        agreement: How often two raters of one pair answered the same; None where no pair had two.
    """

    raters: int
    max_new_tokens: int
    decided: int
    ties: int
    identical: int
    rate: float | None
    low: float
    high: float
    interval_method: str | None
    sufficient: bool
    conclusive: bool
    agreement: float | None
    compared: int


def preference(inputs: CardInputs) -> Preference | None:
    """Builds the context; None where nobody rated."""
    if inputs.ratings is None:
        return None
    counts, measure = inputs.ratings.counts, inputs.ratings.measure
    low, high = measure.tuned_interval or (0.0, 1.0)
    return Preference(
        raters=counts.raters,
        max_new_tokens=inputs.ratings.max_new_tokens,
        decided=measure.n,
        ties=counts.ties,
        identical=inputs.ratings.identical,
        rate=measure.tuned,
        low=low,
        high=high,
        interval_method=measure.interval_method,
        sufficient=measure.status == "measured",
        conclusive=not low <= 0.5 <= high,
        agreement=counts.agreed / counts.compared if counts.compared else None,
        compared=counts.compared,
    )
