"""Checks what the config says of the card before anything is trained, so that no run ends at a blank in its text."""

from collections.abc import Iterator

from hubtune.card.lint.card import read_card
from hubtune.card.lint.registry import all_rules
from hubtune.card.lint.run import findings_of
from hubtune.card.lint.source import CardSource
from hubtune.card.markdown import statement
from hubtune.card.own_templates import own_templates
from hubtune.card.placeholders import find_placeholders, is_placeholder_id
from hubtune.config.schema import STATEMENTS, TuneConfig
from hubtune.errors import CardError

# The rest of a card is about this long at most, and pages show 200,000 characters.
_MOST_CHARACTERS = 150_000
_RULES = ("script-link",)


def check_statements(config: TuneConfig, repo: str | None = None) -> None:
    """Checks the author's statements, the reasons that were signed off, and the author's own templates.

    Args:
        config: The run's config.
        repo: The repository of the release, where it is not the config's.

    Raises:
        CardError: Something is unfinished or cannot stand on a card; the details name the key of each fault.
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
    chosen = [rule for rule in all_rules() if rule.id in _RULES]
    yield from dict.fromkeys(finding.message for finding in findings_of(card, chosen))
