"""Checks a finished card: what must hold before anything is uploaded."""

from hubtune.card.frontmatter import read_front_matter
from hubtune.card.lint.card import read_card
from hubtune.card.lint.registry import all_rules
from hubtune.card.lint.run import findings_of
from hubtune.card.lint.source import CardSource
from hubtune.errors import CardError

MOST_CHARACTERS = 200_000
"""No more of a card is rendered on a page; see `hubtune.pages.markdown`."""
# The metadata is closed, which says more than the lint does about it. What the files and the inputs are is decided
# before a card is rendered.
_RULES = (
    *("placeholder-id", "placeholder", "section-missing", "section-empty"),
    *("evaluation-contradiction", "unclosed-fence", "script-link"),
)


def check_card(text: str) -> None:
    """Checks the whole text of a card.

    Raises:
        CardError: The front matter cannot be read, has an unknown key or a wrong value; there are placeholders; a
            section is missing or empty; text and metadata disagree. The details name every fault.
    """
    if len(text) > MOST_CHARACTERS:
        raise CardError(
            f"The model card has {len(text):,} characters, and pages show at most {MOST_CHARACTERS:,}.",
            hint="Shorten the statements in the config's card section, or the names that the data sets use.",
        )
    _, faults = read_front_matter(text)
    card = read_card(CardSource(text.encode(errors="surrogatepass"), "model"), text, own=True)
    rules = {rule.id: rule for rule in all_rules()}
    found = findings_of(card, [rules[name] for name in _RULES])
    faults += dict.fromkeys(finding.message for finding in found)
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise CardError(
            f"The model card is not valid: {count}.",
            details=faults,
            hint="Correct the config's `card` section, or your card templates (card.templates), and run again.",
        )
