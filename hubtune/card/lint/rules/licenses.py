"""The licence that a card states, against the licence file beside it and against what it was made from."""

from collections.abc import Iterator

from hubtune.card.licensing.decision import LicenseDecision, decide
from hubtune.card.licensing.table import OTHER, UNKNOWN
from hubtune.card.lint.card import Card
from hubtune.card.lint.license_titles import family, licenses_in
from hubtune.card.lint.registry import Hit, rule
from hubtune.config.schema import AcceptedLicense
from hubtune.metadata.front_matter import texts

_UNCERTAIN = frozenset({OTHER, UNKNOWN})


@rule("license-file")
def license_file(card: Card) -> Iterator[Hit]:
    """The stated licence is the one whose text is in the licence file."""
    stated = set(texts(card.data, "license"))
    if not stated or stated & _UNCERTAIN:
        return
    found = {name: licenses_in(text) for name, text in card.source.license_texts.items()}
    known = set().union(*found.values()) if found else set()
    if known and not any(family(one) & family(other) for one in stated for other in known):
        held = "; ".join(f"{name} holds {' and '.join(sorted(ids))}" for name, ids in found.items() if ids)
        yield Hit(card.line("license"), f"the card states {' and '.join(sorted(stated))}, and {held}")


@rule("license-inputs")
def license_inputs(card: Card) -> Iterator[Hit]:
    """The licences of the base model and the data sets allow the stated licence."""
    certain = _refusals(_decide(card, granted=True))
    for reason in certain:
        yield Hit(card.line("license"), f"the inputs do not allow this licence: {reason}")
    # What an input leaves open is its own fault; a card of hubtune says who signed it off.
    for reason in _refusals(_decide(card)) if not card.own else ():
        if reason not in certain:
            yield Hit(card.line("license"), f"what the inputs allow is not certain: {reason}", "warning")
    for reason in card.source.unread:
        yield Hit(card.line("license"), f"a licence was not compared: {reason}", "warning")


@rule("license-display")
def license_display(card: Card) -> Iterator[Hit]:
    """Texts that an input's licence wants shown, such as "Built with Llama", stand on the card."""
    decision = _decide(card)
    shown = " ".join(card.body.split()).lower()
    for duty in decision.duties if decision is not None else ():
        if duty.kind == "display" and duty.shown and duty.shown.lower() not in shown:
            said = f'the licence of an input wants "{duty.shown}" on the card, and it is not there'
            yield Hit(card.line("base_model"), said)


@rule("license-name-prefix")
def license_name_prefix(card: Card) -> Iterator[Hit]:
    """A model has a name that begins as the licence of its base wants it."""
    without = _refusals(_decide(card))
    for reason in _refusals(_decide(card, name=card.source.name)):
        if reason not in without:
            yield Hit(card.line("base_model"), reason)


def _refusals(decision: LicenseDecision | None) -> tuple[str, ...]:
    return decision.reasons if decision is not None and decision.verdict == "refused" else ()


def _decide(card: Card, *, name: str | None = None, granted: bool = False) -> LicenseDecision | None:
    """Returns what the licence decision says about the card; None where it states nothing, or nobody asked.

    Args:
        card: The card.
        name: The model's name.
        granted: Take for given what inputs leave open: a grant that is not known, a licence's text.
    """
    stated = list(dict.fromkeys(texts(card.data, "license")))
    inputs = card.source.inputs
    if not inputs or len(stated) != 1 or stated[0] == UNKNOWN:
        return None
    accepted: list[AcceptedLicense] = []
    if granted:
        inputs = tuple(item.model_copy(update={"files": item.files or {"LICENSE": ""}}) for item in inputs)
        repos = dict.fromkeys(item.repo for item in inputs if item.repo)
        accepted = [AcceptedLicense(repo=repo, reason="Looked at apart.", by="lint") for repo in repos]
    own_name, link = card.data.get("license_name"), card.data.get("license_link")
    return decide(
        inputs,
        stated[0],
        name=name,
        accepted=accepted,
        wanted_name=own_name if isinstance(own_name, str) else None,
        wanted_link=link if isinstance(link, str) else None,
    )
