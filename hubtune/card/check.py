"""Checks before anything is uploaded: the author's statements in the config, and the text of a rendered card."""

from collections.abc import Iterator

from hubtune.card.custom_templates import own_templates
from hubtune.card.lint.card import CardSource, read_card
from hubtune.card.lint.registry import all_rules
from hubtune.card.lint.run import findings_of
from hubtune.card.markdown import find_placeholders, is_placeholder_id, statement
from hubtune.card.metadata import read_front_matter
from hubtune.config.schema import STATEMENTS, TuneConfig
from hubtune.errors import CardError

MOST_CHARACTERS = 200_000
"""No more of a card is rendered on a page; see `hubtune.pages.html`."""
# The metadata is closed, which says more than the lint does about it. What the files and the inputs are is decided
# before a card is rendered.
_CARD_RULES = (
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
            hint="Shorten the statements in the config's card section, or the names that the datasets use.",
        )
    _, faults = read_front_matter(text)
    card = read_card(CardSource(text.encode(errors="surrogatepass"), "model"), text, own=True)
    rules = {rule.id: rule for rule in all_rules()}
    found = findings_of(card, [rules[name] for name in _CARD_RULES])
    faults += dict.fromkeys(finding.message for finding in found)
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise CardError(
            f"The model card is not valid: {count}.",
            details=faults,
            hint="Correct the config's `card` section, or your card templates (card.templates), and run again.",
        )


# The rest of a card is about this long at most, and pages show 200,000 characters.
_MOST_CHARACTERS = 150_000
_STATEMENT_RULES = ("script-link",)


def check_statements(config: TuneConfig, repo: str | None = None) -> None:
    """Checks the author's statements, the reasons that were signed off, and the author's own templates.

    Args:
        config: The run's config.
        repo: The repository of the release, if it is not the config's.

    Raises:
        CardError: Something is unfinished or cannot be on a card; the details name the key of each fault.
    """
    own_templates(config.card.templates)
    texts = dict(_texts(config))
    faults = [
        f"{key} holds the placeholder {placeholder!r}"
        for key, text in texts.items()
        for placeholder in find_placeholders(text)
    ]
    faults += [f"{key}: {fault}" for key, text in texts.items() for fault in _script_links(text)]
    length = sum(len(statement(text)) for text in texts.values())
    if length > _MOST_CHARACTERS:
        faults.append(f"the statements have {length:,} characters together; at most {_MOST_CHARACTERS:,} fit")
    target = repo or config.publish.repo
    if target is not None and is_placeholder_id(target):
        faults.append(f"publish.repo is {target!r}, which is the name of an example; write your own")
    if faults:
        raise CardError(
            "The card cannot be made: what the config says about it is unfinished.",
            details=faults,
            hint="Write what you know; or leave the key out, and the card says that it was not assessed.",
        )


def _texts(config: TuneConfig) -> Iterator[tuple[str, str]]:
    for key in STATEMENTS:
        yield f"card.{key}", getattr(config.card, key) or ""
    for key in ("license_name", "license_link"):
        yield f"card.{key}", getattr(config.card, key) or ""
    for number, entry in enumerate(config.card.accept_license):
        yield f"card.accept_license[{number}].reason", entry.reason
        yield f"card.accept_license[{number}].by", entry.by


def _script_links(text: str) -> Iterator[str]:
    quoted = statement(text)
    card = read_card(CardSource(quoted.encode(errors="surrogatepass"), "model"), quoted)
    chosen = [rule for rule in all_rules() if rule.id in _STATEMENT_RULES]
    yield from dict.fromkeys(finding.message for finding in findings_of(card, chosen))
