"""Reads YAML that strangers wrote: whatever it is, it ends as a value or as one kind of error."""

from dataclasses import dataclass

import yaml

_MOST_TEXT = 512 * 1024


@dataclass(frozen=True)
class Loaded:
    """A YAML document: its node, which knows its place in the text, and its value."""

    node: yaml.Node
    value: object


def load_yaml(text: str, kind: type[yaml.SafeLoader] = yaml.SafeLoader) -> object:
    """Returns what the text says; aliases make it share values, or even hold itself.

    Raises:
        yaml.YAMLError: If it is not YAML, or beyond the bounds.
    """
    loaded = load_node(text, kind)
    return loaded.value if loaded else None


def check_stream(text: str) -> None:
    """Reads any number of documents for their form alone: tags may be any.

    Raises:
        yaml.YAMLError: If it is not YAML, or beyond the bounds.
    """
    if len(text) > _MOST_TEXT:
        raise yaml.YAMLError(f"longer than {_MOST_TEXT >> 10} KiB")
    try:
        for _ in yaml.compose_all(text, Loader=yaml.SafeLoader):
            pass
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except ValueError as error:
        raise yaml.YAMLError(f"a value is not what it looks like: {error}") from error


def load_node(text: str, kind: type[yaml.SafeLoader] = yaml.SafeLoader) -> Loaded | None:
    """Returns what the text says together with its node; None where it is empty.

    Raises:
        yaml.YAMLError: If it is not YAML, or beyond the bounds.
    """
    if len(text) > _MOST_TEXT:
        raise yaml.YAMLError(f"longer than {_MOST_TEXT >> 10} KiB")
    try:
        loader = kind(text)
        try:
            node = loader.get_single_node()
            return None if node is None else Loaded(node, loader.construct_document(node))
        finally:
            loader.dispose()
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
        # A date such as 2024-02-30 looks like one and is none, and the loader takes any `!!int` for one.
        raise yaml.YAMLError(f"a value is not what it looks like: {error}") from error
