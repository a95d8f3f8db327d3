"""Checks a card's metadata as the Hub does before it accepts a README.

The messages are the Hub's own where they are known, since clients show them and suites look for them.
"""

import re
from collections.abc import Callable, Iterator, Mapping

import yaml

from hubtune.config.license_ids import LICENSE_IDS
from hubtune.localhub.card_vocabulary import PIPELINE_TAGS, is_language
from hubtune.localhub.cards import front_matter
from hubtune.localhub.ids import RepoType
from hubtune.localhub.model_index_checks import check_model_index

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?")
_EMPTY = "empty or missing yaml metadata in repo card"
_RELATIONS = ("adapter", "finetune", "merge", "quantized")

_Card = Mapping[str, object]


def check_card(text: str, type_: RepoType = RepoType.MODEL) -> tuple[list[str], list[str]]:
    """Returns the errors and the warnings about a card's metadata."""
    try:
        card = front_matter(text)
    except yaml.YAMLError as error:
        return [f"Invalid YAML metadata: {error}"], []
    if not card:
        return [], [_EMPTY]
    rules = [*_COMMON, *(_MODEL if type_ is RepoType.MODEL else _DATASET if type_ is RepoType.DATASET else ())]
    return [message for rule in rules for message in rule(card)], list(_unknown_tasks(card, type_))


def _check_license(card: _Card) -> Iterator[str]:
    if "license" in card:
        values = _items(card["license"])
        if not values or any(item not in LICENSE_IDS for item in values):
            yield f'"license" must be one of [{", ".join(LICENSE_IDS)}]'
    for key in ("license_name", "license_link"):
        if key in card and not isinstance(card[key], str):
            yield f'"{key}" must be a string'


def _check_languages(card: _Card) -> Iterator[str]:
    if "language" not in card:
        return
    value = card["language"]
    for n, item in enumerate(_items(value)):
        where = f"language[{n}]" if isinstance(value, list) else "language"
        if not isinstance(item, str):
            yield f'"{where}" must be a string'
        elif not is_language(item):
            yield (
                f'"{where}" with value "{item}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code '
                '(two/three letters), or a special value like "code", "multilingual". If you want to use BCP-47 '
                "identifiers, you can specify them in language_bcp47."
            )


def _check_lists(card: _Card) -> Iterator[str]:
    for key in ("tags", "metrics"):
        if card.get(key) is None:
            continue
        value = card[key]
        if not isinstance(value, list):
            yield f'"{key}" must be an array'
            continue
        yield from (f'"{key}[{n}]" must be a string' for n, item in enumerate(value) if not isinstance(item, str))


def _check_texts(card: _Card) -> Iterator[str]:
    for key in ("pipeline_tag", "library_name", "pretty_name"):
        if card.get(key) is not None and not isinstance(card[key], str):
            yield f'"{key}" must be a string'


def _check_base_model(card: _Card) -> Iterator[str]:
    for item in _items(card["base_model"]) if "base_model" in card else ():
        if not _is_id(item):
            yield f'"base_model" with value "{item}" is not valid. Use a model id from https://hf.co/models.'
    if "base_model_relation" in card and card["base_model_relation"] not in _RELATIONS:
        yield f'"base_model_relation" must be one of [{", ".join(_RELATIONS)}]'


def _check_datasets(card: _Card) -> Iterator[str]:
    value = card.get("datasets")
    for n, item in enumerate(_items(value)) if value is not None else ():
        if not _is_id(item):
            where = f"datasets[{n}]" if isinstance(value, list) else "datasets"
            advice = "If possible, use a dataset id from https://hf.co/datasets."
            yield f'"{where}" with value "{item}" is not valid. {advice}'


def _check_widget(card: _Card) -> Iterator[str]:
    if card.get("widget") is not None and not isinstance(card["widget"], (list, bool)):
        yield '"widget" must be an array'


def _check_configs(card: _Card) -> Iterator[str]:
    configs = card.get("configs")
    if configs is None:
        return
    if not isinstance(configs, list):
        yield '"configs" must be an array'
        return
    for n, item in enumerate(configs):
        if not isinstance(item, dict):
            yield f'"configs[{n}]" must be of type object'
        elif not isinstance(item.get("config_name"), str):
            yield f'"configs[{n}].config_name" must be a string'


def _unknown_tasks(card: _Card, type_: RepoType) -> Iterator[str]:
    key = "pipeline_tag" if type_ is RepoType.MODEL else "task_categories"
    value = card.get(key)
    if type_ is RepoType.MODEL and isinstance(value, list):
        return
    for item in _items(value):
        if isinstance(item, str) and item not in PIPELINE_TAGS:
            yield f'The {key} "{item}" is not in the official list: {", ".join(sorted(PIPELINE_TAGS))}'


def _is_id(item: object) -> bool:
    return isinstance(item, str) and _REPO_ID.fullmatch(item) is not None


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


_COMMON: tuple[Callable[[_Card], Iterator[str]], ...] = (_check_license, _check_languages, _check_lists, _check_texts)
_MODEL = (_check_base_model, _check_datasets, _check_widget, check_model_index)
_DATASET = (_check_configs,)
