"""How to load the adapter and make it write."""

from dataclasses import dataclass

from hubtune.card.inputs import CardInputs
from hubtune.card.snippet import usage_snippet


@dataclass(frozen=True)
class Usage:
    """Context of `sections/usage.md.j2`."""

    snippet: str
    base: str
    gated: bool
    published: bool


def usage(inputs: CardInputs) -> Usage:
    """Builds the section's context."""
    return Usage(
        snippet=usage_snippet(inputs),
        base=inputs.pins.base.repo,
        gated=inputs.pins.base.gated is not False,
        published=inputs.target is not None,
    )
