"""A card that hubtune itself rendered, with something else in it."""

from hubtune.card.render import render_card
from tests.card.lint.cards import Example
from tests.sample_cards import make_inputs


def own(old: str = "", new: str = "", at: str | None = None) -> Example:
    """The golden card with `old` replaced; the finding has to be on the line that holds `at`."""
    text = render_card(make_inputs())
    assert old in text, old
    text = text.replace(old, new, 1)
    lines = text.split("\n")
    found = at if at is not None else new.partition("\n")[0]
    line = next(n for n, line in enumerate(lines, 1) if found in line) if found else len(lines)
    return Example(text, line)
