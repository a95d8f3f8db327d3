"""Checks a card's metadata as the Hub does before it accepts a README."""

import re
from collections.abc import Iterator, Mapping

import yaml

from hubtune.config.license_ids import LICENSE_IDS
from hubtune.localhub.cards import front_matter

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?")
_EMPTY = "empty or missing yaml metadata in repo card"


def check_card(text: str) -> tuple[list[str], list[str]]:
    """Returns the errors and the warnings about a card's metadata."""
    try:
        card = front_matter(text)
    except yaml.YAMLError as error:
        return [f"Invalid YAML metadata: {error}"], []
    if not card:
        return [], [_EMPTY]
    return [*_check_license(card), *_check_base_model(card), *_check_model_index(card)], []


def _check_license(card: Mapping[str, object]) -> Iterator[str]:
    if "license" not in card:
        return
    value = card["license"]
    values = value if isinstance(value, list) else [value]
    if not values or any(item not in LICENSE_IDS for item in values):
        yield f'"license" must be one of [{", ".join(LICENSE_IDS)}]'


def _check_base_model(card: Mapping[str, object]) -> Iterator[str]:
    if "base_model" not in card:
        return
    value = card["base_model"]
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str) or not _REPO_ID.fullmatch(item):
            yield f'"base_model" with value "{item}" is not valid. Use a model id from https://hf.co/models.'


def _check_model_index(card: Mapping[str, object]) -> Iterator[str]:
    index = card.get("model-index")
    if index is None:
        return
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for m, model in enumerate(index):
        results = model.get("results") if isinstance(model, dict) else None
        if not isinstance(results, list):
            yield f'"model-index[{m}].results" must be an array'
            continue
        for r, result in enumerate(results):
            yield from _check_result(f"model-index[{m}].results[{r}]", result)


def _check_result(where: str, result: object) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f'"{where}" must be an object'
        return
    dataset = result.get("dataset")
    if not isinstance(dataset, dict):
        yield f'"{where}.dataset" is required'
        return
    if not isinstance(dataset.get("config", ""), str):
        yield f'"{where}.dataset.config" must be a string'
