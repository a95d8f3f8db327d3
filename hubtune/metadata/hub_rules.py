"""The Hub's rules about the metadata of a card.

If the Hub's messages are known, they are used word for word, because clients show them and tests look for them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hubtune.config.fields import LICENSE_IDS
from hubtune.documents import KeyPath, UnreadableError
from hubtune.metadata.front_matter import MetadataFault, front_matter, items

_TEXTS = ("config", "split", "revision")
PIPELINE_TAGS = frozenset(
    {
        "any-to-any", "audio-classification", "audio-text-to-text", "audio-to-audio", "automatic-speech-recognition",
        "depth-estimation", "document-question-answering", "feature-extraction", "fill-mask", "graph-ml",
        "image-classification", "image-feature-extraction", "image-segmentation", "image-text-to-image",
        "image-text-to-text", "image-text-to-video", "image-to-3d", "image-to-image", "image-to-text", "image-to-video",
        "keypoint-detection", "mask-generation", "multiple-choice", "object-detection", "other", "question-answering",
        "reinforcement-learning", "robotics", "sentence-similarity", "summarization", "table-question-answering",
        "table-to-text", "tabular-classification", "tabular-regression", "tabular-to-text", "text-classification",
        "text-generation", "text-ranking", "text-retrieval", "text-to-3d", "text-to-audio", "text-to-image",
        "text-to-speech", "text-to-video", "time-series-forecasting", "token-classification", "translation",
        "unconditional-image-generation", "video-classification", "video-text-to-text", "video-to-video",
        "visual-document-retrieval", "visual-question-answering", "voice-activity-detection",
        "zero-shot-classification", "zero-shot-image-classification", "zero-shot-object-detection",
    }
)  # fmt: skip
"""The tasks under which models and datasets are filed."""
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_SPECIAL = frozenset({"code", "multilingual", "no", "zxx"})
_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?")
_EMPTY = "empty or missing yaml metadata in repo card"
_RELATIONS = ("adapter", "finetune", "merge", "quantized")
_EVERY = frozenset({"model", "dataset", "space"})
_Card = Mapping[str, object]
_MODEL = frozenset({"model"})
_DATASET = frozenset({"dataset"})


def check_model_index(card: Mapping[str, object]) -> Iterator[MetadataFault]:
    """`model-index` has the form that the Hub reads; texts such as `config` are not null."""
    index = card.get("model-index")
    if index is None:
        return
    if not isinstance(index, list):
        yield MetadataFault.at(("model-index",), "must be an array")
        return
    for m, model in enumerate(index):
        where: KeyPath = ("model-index", m)
        if not isinstance(model, dict):
            yield MetadataFault.at(where, "must be of type object")
            continue
        if "name" in model and not isinstance(model["name"], str):
            yield MetadataFault.at((*where, "name"), "must be a string")
        results = model.get("results")
        if not isinstance(results, list):
            yield MetadataFault.at((*where, "results"), "must be an array")
            continue
        for r, result in enumerate(results):
            yield from _check_result((*where, "results", r), result)


def _check_result(where: KeyPath, result: object) -> Iterator[MetadataFault]:
    if not isinstance(result, dict):
        yield MetadataFault.at(where, "must be an object")
        return
    yield from _check_dataset((*where, "dataset"), result.get("dataset"))
    yield from _check_result_task((*where, "task"), result.get("task"))
    metrics = result.get("metrics", [])
    if not isinstance(metrics, list):
        yield MetadataFault.at((*where, "metrics"), "must be an array")
        return
    for n, metric in enumerate(metrics):
        yield from _check_metric((*where, "metrics", n), metric)


def _check_dataset(where: KeyPath, dataset: object) -> Iterator[MetadataFault]:
    if not isinstance(dataset, dict):
        yield MetadataFault.at(where, "is required")
        return
    # A null is the mistake of many card writers: a config that is not known must be left out.
    for key in ("type", "name", *_TEXTS):
        if key in dataset and not isinstance(dataset[key], str):
            yield MetadataFault.at((*where, key), "must be a string")


def _check_result_task(where: KeyPath, task: object) -> Iterator[MetadataFault]:
    if task is None:
        return
    if not isinstance(task, dict):
        yield MetadataFault.at(where, "must be of type object")
    elif not isinstance(task.get("type"), str):
        yield MetadataFault.at((*where, "type"), "must be a string")


def _check_metric(where: KeyPath, metric: object) -> Iterator[MetadataFault]:
    if not isinstance(metric, dict):
        yield MetadataFault.at(where, "must be of type object")
        return
    if not isinstance(metric.get("type"), str):
        yield MetadataFault.at((*where, "type"), "must be a string")
    if metric.get("value") is None:
        yield MetadataFault.at((*where, "value"), "is required")


def is_language(code: str) -> bool:
    """Says whether a text has the form of a language code, or is one of the Hub's special values.

    The three-letter codes are some eight thousand, so only their form is checked.
    """
    return code in _SPECIAL or _LANGUAGE.fullmatch(code) is not None


@dataclass(frozen=True)
class HubRule:
    """One rule.

    Attributes:
        id: Its name, which never changes.
        kinds: The kinds of repositories to which the rule applies.
        warns: Whether the Hub accepts a card that breaks the rule.
    """

    id: str
    kinds: frozenset[str]
    check: Callable[[_Card], Iterator[MetadataFault]]
    warns: bool = False


def check_card(text: str, kind: str = "model") -> tuple[list[str], list[str]]:
    """Returns the errors and the warnings about the metadata of a `model`'s, a `dataset`'s or another repo's card."""
    try:
        card = front_matter(text)
    except UnreadableError as error:
        return [f"Invalid YAML metadata: it {error}"], []
    if not card:
        return [], [_EMPTY]
    errors: list[str] = []
    warnings: list[str] = []
    for rule in HUB_RULES:
        if kind in rule.kinds:
            (warnings if rule.warns else errors).extend(fault.message for fault in rule.check(card))
    return errors, warnings


def _check_license(card: _Card) -> Iterator[MetadataFault]:
    """`license` is a license id of the Hub, or a list of them."""
    if "license" in card:
        values = items(card["license"])
        if not values or any(item not in LICENSE_IDS for item in values):
            yield MetadataFault(("license",), f'"license" must be one of [{", ".join(LICENSE_IDS)}]')


def _check_languages(card: _Card) -> Iterator[MetadataFault]:
    """`language` contains ISO 639 codes."""
    if "language" not in card:
        return
    value = card["language"]
    for n, item in enumerate(items(value)):
        path = ("language", n) if isinstance(value, list) else ("language",)
        if not isinstance(item, str):
            yield MetadataFault.at(path, "must be a string")
        elif not is_language(item):
            yield MetadataFault.at(
                path,
                f'with value "{item}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code '
                '(two/three letters), or a special value like "code", "multilingual". If you want to use BCP-47 '
                "identifiers, you can specify them in language_bcp47.",
            )


def _check_lists(card: _Card) -> Iterator[MetadataFault]:
    """`tags` is a list of texts; `metrics` is a text or a list of texts."""
    for key in ("tags", "metrics"):
        value = card.get(key)
        if value is None:
            continue
        if key == "metrics" and isinstance(value, str):
            continue
        if not isinstance(value, list):
            yield MetadataFault.at((key,), "must be an array")
            continue
        yield from (
            MetadataFault.at((key, n), "must be a string") for n, item in enumerate(value) if not isinstance(item, str)
        )


def _check_texts(card: _Card) -> Iterator[MetadataFault]:
    """Keys that must be a text are a text."""
    for key in ("license_name", "license_link"):
        if key in card and not isinstance(card[key], str):
            yield MetadataFault.at((key,), "must be a string")
    for key in ("pipeline_tag", "library_name", "pretty_name"):
        if card.get(key) is not None and not isinstance(card[key], str):
            yield MetadataFault.at((key,), "must be a string")


def _check_base_model(card: _Card) -> Iterator[MetadataFault]:
    """`base_model` contains model ids."""
    value = card.get("base_model")
    for n, item in enumerate(items(value)) if "base_model" in card else ():
        if not _is_id(item):
            path = ("base_model", n) if isinstance(value, list) else ("base_model",)
            yield MetadataFault(
                path, f'"base_model" with value "{item}" is not valid. Use a model id from https://hf.co/models.'
            )


def _check_relation(card: _Card) -> Iterator[MetadataFault]:
    """`base_model_relation` is a value that the Hub knows."""
    if "base_model_relation" in card and card["base_model_relation"] not in _RELATIONS:
        yield MetadataFault.at(("base_model_relation",), f"must be one of [{', '.join(_RELATIONS)}]")


def _check_datasets(card: _Card) -> Iterator[MetadataFault]:
    """`datasets` contains dataset ids."""
    value = card.get("datasets")
    for n, item in enumerate(items(value)) if value is not None else ():
        if not _is_id(item):
            path = ("datasets", n) if isinstance(value, list) else ("datasets",)
            advice = "If possible, use a dataset id from https://hf.co/datasets."
            yield MetadataFault.at(path, f'with value "{item}" is not valid. {advice}')


def _check_widget(card: _Card) -> Iterator[MetadataFault]:
    """`widget` is a list of examples."""
    if card.get("widget") is not None and not isinstance(card["widget"], (list, bool)):
        yield MetadataFault.at(("widget",), "must be an array")


def _check_configs(card: _Card) -> Iterator[MetadataFault]:
    """`configs` of a dataset is a list, and each entry has a name."""
    configs = card.get("configs")
    if configs is None:
        return
    if not isinstance(configs, list):
        yield MetadataFault.at(("configs",), "must be an array")
        return
    for n, item in enumerate(configs):
        if not isinstance(item, dict):
            yield MetadataFault.at(("configs", n), "must be of type object")
        elif not isinstance(item.get("config_name"), str):
            yield MetadataFault.at(("configs", n, "config_name"), "must be a string")


def _check_task(card: _Card) -> Iterator[MetadataFault]:
    """`pipeline_tag` is a task of the Hub."""
    if isinstance(card.get("pipeline_tag"), str):
        yield from _unknown_tasks(card, "pipeline_tag")


def _check_tasks(card: _Card) -> Iterator[MetadataFault]:
    """`task_categories` of a dataset contains tasks of the Hub."""
    yield from _unknown_tasks(card, "task_categories")


def _unknown_tasks(card: _Card, key: str) -> Iterator[MetadataFault]:
    for item in items(card.get(key)):
        if isinstance(item, str) and item not in PIPELINE_TAGS:
            listed = ", ".join(sorted(PIPELINE_TAGS))
            yield MetadataFault((key,), f'The {key} "{item}" is not in the official list: {listed}')


def _is_id(item: object) -> bool:
    return isinstance(item, str) and _REPO_ID.fullmatch(item) is not None


HUB_RULES = (
    HubRule("license-id", _EVERY, _check_license),
    HubRule("language-code", _EVERY, _check_languages),
    HubRule("metadata-list", _EVERY, _check_lists),
    HubRule("metadata-text", _EVERY, _check_texts),
    HubRule("base-model-id", _MODEL, _check_base_model),
    HubRule("base-model-relation", _MODEL, _check_relation),
    HubRule("datasets-id", _MODEL, _check_datasets),
    HubRule("widget-list", _MODEL, _check_widget),
    HubRule("model-index-form", _MODEL, check_model_index),
    HubRule("data-configs", _DATASET, _check_configs),
    HubRule("task-unknown", _MODEL, _check_task, warns=True),
    HubRule("task-categories-unknown", _DATASET, _check_tasks, warns=True),
)
"""The rules, in the order in which the Hub reports them."""
