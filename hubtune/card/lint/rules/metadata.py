"""The Hub's own rules about metadata: the Hub rejects a card that breaks one of severity error."""

import difflib
from collections.abc import Iterator
from difflib import get_close_matches

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Check, Hit, Rule, add_rule, rule
from hubtune.card.lint.rules.inputs import is_local_path
from hubtune.config.fields import unknown_license
from hubtune.documents import KeyPath
from hubtune.metadata.front_matter import MetadataFault, NotAMappingError, texts
from hubtune.metadata.hub_rules import HUB_RULES, PIPELINE_TAGS, HubRule


def _check(hub_rule: HubRule) -> Check:
    def check(card: Card) -> Iterator[Hit]:
        if card.kind not in hub_rule.kinds:
            return
        for fault in hub_rule.check(card.data):
            # A path is a fault that has a rule of its own, which says more.
            if not is_local_path(_value(card, fault.path)):
                yield Hit(card.line(*fault.path), _in_short(card, hub_rule, fault) or f"the Hub says: {fault.message}")

    return check


def _in_short(card: Card, hub_rule: HubRule, fault: MetadataFault) -> str | None:
    """Returns what to write instead if the Hub would list all that can be written."""
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


@rule("front-matter-missing")
def missing(card: Card) -> Iterator[Hit]:
    """The card begins with metadata between two lines of ---."""
    if card.front is None and card.fault is None:
        opened = card.block is None and card.text.lstrip().startswith("---\n")
        said = "is never closed" if opened else "is missing; begin the card with YAML between two lines of ---"
        yield Hit(1, f"the metadata {said}")


@rule("front-matter-yaml")
def not_yaml(card: Card) -> Iterator[Hit]:
    """The metadata is valid YAML."""
    if card.fault is None or isinstance(card.fault, NotAMappingError) or card.block is None:
        return
    yield Hit(card.block.first_line + (card.fault.line or 1) - 1, f"the metadata {card.fault.problem}")


@rule("front-matter-mapping")
def not_a_mapping(card: Card) -> Iterator[Hit]:
    """The metadata is a mapping of keys to values."""
    if isinstance(card.fault, NotAMappingError) and card.block is not None:
        yield Hit(card.block.first_line, "the metadata must be keys with values, such as `license: mit`")


@rule("front-matter-duplicate-key")
def duplicate_key(card: Card) -> Iterator[Hit]:
    """No key is duplicated."""
    for key, line in card.front.duplicates if card.front else ():
        yield Hit(line, f"`{key}` is duplicated; keep one of the two values")


# Those that the Hub's documentation of model and dataset cards names, and those that its libraries write.
KNOWN_KEYS = frozenset(
    {
        *("annotations_creators", "arxiv", "base_model", "base_model_relation", "co2_eq_emissions", "configs"),
        *("dataset_info", "datasets", "doi", "eval_results", "extra_gated_button_content", "extra_gated_description"),
        *("extra_gated_eu_disallowed", "extra_gated_fields", "extra_gated_heading", "extra_gated_prompt"),
        *("inference", "instance_prompt", "language", "language_bcp47", "language_creators", "language_details"),
        *("library_name", "license", "license_details", "license_link", "license_name", "mask_token", "metrics"),
        *("model-index", "model_creator", "model_name", "model_type", "multilinguality", "new_version"),
        *("paperswithcode_id", "pipeline_tag", "pretty_name", "prompt_template", "quantized_by", "size_categories"),
        *("source_datasets", "tags", "task_categories", "task_ids", "thumbnail", "train-eval-index", "viewer"),
        *("widget", "co2_emissions", "extra_gated_geo", "datasets_info", "sdk", "title"),
    }
)


@rule("unknown-key", "warning")
def unknown_key(card: Card) -> Iterator[Hit]:
    """The Hub knows every key of the metadata."""
    for key in card.data:
        if key not in KNOWN_KEYS:
            close = difflib.get_close_matches(key.lower().replace(" ", "_")[:60], KNOWN_KEYS, n=1, cutoff=0.75)
            meant = f"; did you mean `{close[0]}`?" if close else ", so it has no effect"
            yield Hit(card.line(key), f"the Hub has no key `{key}`{meant}")
