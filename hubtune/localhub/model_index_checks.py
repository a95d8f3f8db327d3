"""Checks the `model-index` of a card: the evaluation results that the Hub reads from it."""

from collections.abc import Iterator, Mapping

_TEXTS = ("config", "split", "revision")


def check_model_index(card: Mapping[str, object]) -> Iterator[str]:
    """Yields the errors in a card's `model-index`."""
    index = card.get("model-index")
    if index is None:
        return
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for m, model in enumerate(index):
        where = f"model-index[{m}]"
        if not isinstance(model, dict):
            yield f'"{where}" must be of type object'
            continue
        if "name" in model and not isinstance(model["name"], str):
            yield f'"{where}.name" must be a string'
        results = model.get("results")
        if not isinstance(results, list):
            yield f'"{where}.results" must be an array'
            continue
        for r, result in enumerate(results):
            yield from _check_result(f"{where}.results[{r}]", result)


def _check_result(where: str, result: object) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f'"{where}" must be an object'
        return
    yield from _check_dataset(f"{where}.dataset", result.get("dataset"))
    yield from _check_task(f"{where}.task", result.get("task"))
    metrics = result.get("metrics", [])
    if not isinstance(metrics, list):
        yield f'"{where}.metrics" must be an array'
        return
    for n, metric in enumerate(metrics):
        yield from _check_metric(f"{where}.metrics[{n}]", metric)


def _check_dataset(where: str, dataset: object) -> Iterator[str]:
    if not isinstance(dataset, dict):
        yield f'"{where}" is required'
        return
    for key in ("type", "name"):
        if key in dataset and not isinstance(dataset[key], str):
            yield f'"{where}.{key}" must be a string'
    for key in _TEXTS:
        # A null is the mistake of many card writers: a config that is not known must be left out.
        if key in dataset and not isinstance(dataset[key], str):
            yield f'"{where}.{key}" must be a string'


def _check_task(where: str, task: object) -> Iterator[str]:
    if task is None:
        return
    if not isinstance(task, dict):
        yield f'"{where}" must be of type object'
    elif not isinstance(task.get("type"), str):
        yield f'"{where}.type" must be a string'


def _check_metric(where: str, metric: object) -> Iterator[str]:
    if not isinstance(metric, dict):
        yield f'"{where}" must be of type object'
        return
    if not isinstance(metric.get("type"), str):
        yield f'"{where}.type" must be a string'
    if metric.get("value") is None:
        yield f'"{where}.value" is required'
