"""The Hub's rules about the `model-index` of a card: the evaluation results that it reads from there."""

from collections.abc import Iterator, Mapping

from hubtune.metadata.fault import Fault
from hubtune.metadata.front_matter import KeyPath

_TEXTS = ("config", "split", "revision")


def check_model_index(card: Mapping[str, object]) -> Iterator[Fault]:
    """`model-index` has the form from which the Hub reads results; texts such as `config` are not null."""
    index = card.get("model-index")
    if index is None:
        return
    if not isinstance(index, list):
        yield Fault.at(("model-index",), "must be an array")
        return
    for m, model in enumerate(index):
        where: KeyPath = ("model-index", m)
        if not isinstance(model, dict):
            yield Fault.at(where, "must be of type object")
            continue
        if "name" in model and not isinstance(model["name"], str):
            yield Fault.at((*where, "name"), "must be a string")
        results = model.get("results")
        if not isinstance(results, list):
            yield Fault.at((*where, "results"), "must be an array")
            continue
        for r, result in enumerate(results):
            yield from _check_result((*where, "results", r), result)


def _check_result(where: KeyPath, result: object) -> Iterator[Fault]:
    if not isinstance(result, dict):
        yield Fault.at(where, "must be an object")
        return
    yield from _check_dataset((*where, "dataset"), result.get("dataset"))
    yield from _check_task((*where, "task"), result.get("task"))
    metrics = result.get("metrics", [])
    if not isinstance(metrics, list):
        yield Fault.at((*where, "metrics"), "must be an array")
        return
    for n, metric in enumerate(metrics):
        yield from _check_metric((*where, "metrics", n), metric)


def _check_dataset(where: KeyPath, dataset: object) -> Iterator[Fault]:
    if not isinstance(dataset, dict):
        yield Fault.at(where, "is required")
        return
    # A null is the mistake of many card writers: a config that is not known must be left out.
    for key in ("type", "name", *_TEXTS):
        if key in dataset and not isinstance(dataset[key], str):
            yield Fault.at((*where, key), "must be a string")


def _check_task(where: KeyPath, task: object) -> Iterator[Fault]:
    if task is None:
        return
    if not isinstance(task, dict):
        yield Fault.at(where, "must be of type object")
    elif not isinstance(task.get("type"), str):
        yield Fault.at((*where, "type"), "must be a string")


def _check_metric(where: KeyPath, metric: object) -> Iterator[Fault]:
    if not isinstance(metric, dict):
        yield Fault.at(where, "must be of type object")
        return
    if not isinstance(metric.get("type"), str):
        yield Fault.at((*where, "type"), "must be a string")
    if metric.get("value") is None:
        yield Fault.at((*where, "value"), "is required")
