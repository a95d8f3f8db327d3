"""The Hub's own rules about metadata: a card that breaks one with an error cannot be pushed."""

from collections.abc import Iterator
from difflib import get_close_matches

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Check, Hit, Rule, add_rule
from hubtune.card.lint.rules.inputs import is_local_path
from hubtune.config.license_ids import unknown_license
from hubtune.metadata.fault import Fault
from hubtune.metadata.front_matter import KeyPath, texts
from hubtune.metadata.hub_rules import HUB_RULES, HubRule
from hubtune.metadata.vocabulary import PIPELINE_TAGS


def _check(hub_rule: HubRule) -> Check:
    def check(card: Card) -> Iterator[Hit]:
        if card.kind not in hub_rule.kinds:
            return
        for fault in hub_rule.check(card.data):
            # A path is a fault that has a rule of its own, which says more.
            if not is_local_path(_value(card, fault.path)):
                yield Hit(card.line(*fault.path), _in_short(card, hub_rule, fault) or f"the Hub says: {fault.message}")

    return check


def _in_short(card: Card, hub_rule: HubRule, fault: Fault) -> str | None:
    """Returns what to write instead where the Hub would list all that can be written."""
    if hub_rule.id == "license-id":
        return "; ".join(filter(None, map(unknown_license, texts(card.data, "license")))) or None
    said, lists, _ = fault.message.partition(" is not in the official list")
    if lists:
        close = get_close_matches(said.split('"')[1][:60], PIPELINE_TAGS, n=1)
        return f"{said} is not a task of the Hub{f'; did you mean {close[0]}?' if close else ''}"
    return None


def _value(card: Card, path: KeyPath) -> object:
    value: object = card.data
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _summary(hub_rule: HubRule) -> str:
    return (hub_rule.check.__doc__ or "").partition("\n")[0]


for _rule in HUB_RULES:
    add_rule(Rule(_rule.id, "warning" if _rule.warns else "error", _summary(_rule), _check(_rule)))
