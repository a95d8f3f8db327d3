"""Reads YAML that strangers wrote: of bounded depth and, with every alias written out, of bounded size."""

import yaml

_MOST_TEXT = 512 * 1024
_MOST_NODES = 100_000


def load_yaml(text: str) -> object:
    """Returns what the text says.

    A few lines of aliases can stand for more values than any memory holds, as soon as something writes them out.

    Raises:
        yaml.YAMLError: If it is not YAML, or beyond the bounds.
    """
    if len(text) > _MOST_TEXT:
        raise yaml.YAMLError(f"longer than {_MOST_TEXT >> 10} KiB")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_NODES:
            raise yaml.YAMLError(f"more than {_MOST_NODES} values")
        return loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply, or in itself") from error
    except ValueError as error:
        # A date such as 2024-02-30 looks like one and is none.
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    if id(node) not in known:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(node)]
