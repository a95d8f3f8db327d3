"""Reads untrusted YAML and JSON: the result is plain values within limits, or one kind of error.

It refuses what the parsers accept: aliases that multiply or contain themselves, excessive depth and size, numbers with
thousands of digits, dates that do not exist, and JSON texts that no encoding can represent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from hubtune.errors import DocumentError, FileError, HubtuneError
from hubtune.files import read_bytes

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""A value as JSON has it."""

# libyaml's is ten times as fast and refuses a depth of 1,000 by itself; not every build of PyYAML has it.
YamlLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader to derive others from."""

_SHOWN = 40
_MOST_VALUES = 5_000_000
_NUMBERS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


@dataclass(frozen=True)
class Bounds:
    """How much of a document is read.

    Attributes:
        size: Bytes of the text.
        depth: Lists and mappings within one another.
        values: Values, each counted as often as aliases repeat it. With None, the values of a JSON text are neither
            counted nor looked at, nor is their depth, which halves the time; Python's own limit of depth holds.
        digits: Characters of a number or date.
    """

    size: int = 64 << 20
    depth: int = 100
    values: int | None = _MOST_VALUES
    digits: int = 400


BOUNDS = Bounds()
"""For files that programs write; the tokenizer.json of a vocabulary of 262,144 has 34 MB and some 2,000,000 values."""

HAND_WRITTEN = Bounds(size=512 << 10, values=100_000)
"""For files that people write, such as a config or the metadata of a card."""


class UnreadableError(ValueError):
    """A document is not what it should be, or is beyond the bounds.

    Attributes:
        problem: What is wrong, to follow the document's name: "is not YAML: …".
        line: The line it is on, from 1; None if no line is at fault.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(f"{problem} (line {line})" if line else problem)
        self.problem = problem
        self.line = line


KeyPath = tuple[str | int, ...]
"""Where a value stands: the keys, and the positions in lists, that lead to it."""


def show_path(path: KeyPath) -> str:
    """Returns a place as people write it: `model-index[0].results`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@dataclass(frozen=True)
class DuplicateKey:
    """A key that is duplicated in one mapping, of which YAML keeps the last.

    Attributes:
        first: The line of the first.
        line: The line of this one.
    """

    path: KeyPath
    first: int
    line: int


class KeyLines:
    """Where the keys and list items of a YAML document stand, and which keys is duplicated in one mapping.

    Each node is walked once: what an alias repeats has its place already.

    Args:
        root: The document's node, as `load_yaml` returned it.
        first_line: The number of the document's first line.

    Attributes:
        lines: The line of each key and list item.
        duplicates: Keys that is duplicated, in the order of their lines.
    """

    def __init__(self, root: yaml.Node, first_line: int = 1) -> None:
        self._first_line = first_line
        self._seen: set[int] = set()
        self.lines: dict[KeyPath, int] = {}
        self.duplicates: list[DuplicateKey] = []
        self._visit(root, ())

    def _visit(self, node: yaml.Node, path: KeyPath) -> None:
        self.lines.setdefault(path, self._line(node))
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._visit(item, (*path, number))
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                below, line = (*path, str(key.value)), self._line(key)
                if key.value in first:
                    self.duplicates.append(DuplicateKey(below, first[key.value], line))
                first.setdefault(key.value, line)
                self.lines[below] = line
                self._visit(value, below)

    def _line(self, node: yaml.Node) -> int:
        return self._first_line + int(node.start_mark.line)


@dataclass(frozen=True)
class YamlDocument:
    """A YAML document: its node, which knows its place in the text, and its value."""

    node: yaml.Node
    value: object


def load_yaml(
    content: str | bytes, *, bounds: Bounds = HAND_WRITTEN, loader: type[yaml.SafeLoader] = YamlLoader
) -> YamlDocument | None:
    """Returns what one YAML document says, or None if it is empty.

    Raises:
        UnreadableError: It is not YAML in UTF-8, holds more than one document, or is beyond the bounds.
    """
    text = _text(content, bounds)
    with _yaml_faults():
        reader = loader(text)
        try:
            node = reader.get_single_node()
            if node is None:
                return None
            for number in _check_node(node, bounds):
                _construct(reader, number)
            return YamlDocument(node, reader.construct_document(node))
        finally:
            reader.dispose()


def check_yaml_stream(content: str | bytes, *, bounds: Bounds = HAND_WRITTEN) -> None:
    """Reads any number of YAML documents for their form alone: tags may be any.

    Raises:
        UnreadableError: It is not YAML, or beyond the bounds.
    """
    with _yaml_faults():
        for node in yaml.compose_all(_text(content, bounds), Loader=YamlLoader):
            for _ in _check_node(node, bounds):
                pass


def load_json(content: str | bytes, *, bounds: Bounds = BOUNDS) -> Json:
    """Returns what a JSON text says; of equal keys the last counts, and NaN and Infinity are numbers, as in Python.

    Raises:
        UnreadableError: It is not JSON in UTF-8, or is beyond the bounds.
    """

    def whole(digits: str) -> int:
        if len(digits) > bounds.digits:
            raise UnreadableError(f"holds a number of more than {bounds.digits} digits")
        return int(digits)

    text = _text(content, bounds)
    try:
        value: Json = json.loads(text, parse_int=whole)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"is not JSON: {error.msg}", error.lineno) from None
    except RecursionError:
        raise UnreadableError(f"is nested more than {bounds.depth} deep") from None
    if bounds.values is not None:
        _check_value(value, bounds, bounds.values)
    return value


def parse_yaml(
    content: str | bytes,
    name: str,
    *,
    error: type[HubtuneError] = DocumentError,
    hint: str | None = None,
    bounds: Bounds = HAND_WRITTEN,
) -> object:
    """Returns the value of a YAML document, None if it is empty; dates and sets are Python's.

    Args:
        content: The document, in UTF-8 with or without a byte order mark.
        name: What to call it in a message, such as "The auth file users.yaml".
        error: The kind of error to raise.
        hint: What to do next.
        bounds: How much is read.

    Raises:
        HubtuneError: Of the kind `error`: `name` is not such a document.
    """
    try:
        loaded = load_yaml(content, bounds=bounds)
    except UnreadableError as fault:
        raise error(f"{name} {fault}.", hint=hint) from None
    return loaded.value if loaded else None


def parse_json(
    content: str | bytes,
    name: str,
    *,
    error: type[HubtuneError] = DocumentError,
    hint: str | None = None,
    bounds: Bounds = BOUNDS,
) -> Json:
    """Returns the value of a JSON text; see `parse_yaml`."""
    try:
        return load_json(content, bounds=bounds)
    except UnreadableError as fault:
        raise error(f"{name} {fault}.", hint=hint) from None


def parse_json_object(
    content: str | bytes,
    name: str,
    *,
    error: type[HubtuneError] = DocumentError,
    hint: str | None = None,
    bounds: Bounds = BOUNDS,
) -> dict[str, Json]:
    """Returns the members of a JSON object; see `parse_yaml`."""
    value = parse_json(content, name, error=error, hint=hint, bounds=bounds)
    if not isinstance(value, dict):
        raise error(f"{name} does not hold a JSON object.", hint=hint)
    return value


def read_yaml(
    path: Path, *, error: type[HubtuneError] = DocumentError, hint: str | None = None, bounds: Bounds = HAND_WRITTEN
) -> object:
    """Returns the value of a YAML file.

    Raises:
        HubtuneError: Of the kind `error`: it cannot be read, or is not YAML within the bounds.
    """
    return parse_yaml(_content(path, error, hint, bounds), str(path), error=error, hint=hint, bounds=bounds)


def read_json(
    path: Path, *, error: type[HubtuneError] = DocumentError, hint: str | None = None, bounds: Bounds = BOUNDS
) -> Json:
    """Returns the value of a JSON file; see `read_yaml`."""
    return parse_json(_content(path, error, hint, bounds), str(path), error=error, hint=hint, bounds=bounds)


def read_json_object(
    path: Path, *, error: type[HubtuneError] = DocumentError, hint: str | None = None, bounds: Bounds = BOUNDS
) -> dict[str, Json]:
    """Returns the members of a JSON object in a file; see `read_yaml`."""
    return parse_json_object(_content(path, error, hint, bounds), str(path), error=error, hint=hint, bounds=bounds)


def _content(path: Path, error: type[HubtuneError], hint: str | None, bounds: Bounds) -> bytes:
    try:
        return read_bytes(path, most=bounds.size)
    except FileError as fault:
        raise error(fault.message, hint=hint or fault.hint) from fault


def _text(content: str | bytes, bounds: Bounds) -> str:
    if len(content) > bounds.size:
        raise UnreadableError(f"is larger than {bounds.size >> 10:,} KiB")
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8: the first byte that is not is byte {error.start + 1}") from None


@contextmanager
def _yaml_faults() -> Iterator[None]:
    """Turns whatever PyYAML raises for a text into an UnreadableError."""
    try:
        yield
    except UnreadableError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise UnreadableError(f"is not YAML: {error.problem or error.context}", line) from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    # A date such as 2024-02-30 looks like one and is not, and the loader takes any `!!int` for a number.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableError(f"holds a value that is not what it looks like: {error}") from None


def _construct(reader: yaml.SafeLoader, node: yaml.ScalarNode) -> None:
    try:
        reader.construct_object(node)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        shown = node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}…"
        raise UnreadableError(
            f"holds {shown!r}, which YAML takes for a number or a date and which is neither ({error}); "
            "put it in quotes if it is a text",
            node.start_mark.line + 1,
        ) from None


def _check_node(root: yaml.Node, bounds: Bounds) -> Iterator[yaml.ScalarNode]:
    """Yields numbers and dates; walks a document as its aliases spell it out: one with itself in it is too deep."""
    most = left = bounds.values or _MOST_VALUES
    pending: list[tuple[yaml.Node, int]] = [(root, 0)]
    while pending:
        node, depth = pending.pop()
        left -= 1
        line = node.start_mark.line + 1
        if left < 0:
            raise UnreadableError(f"holds more than {most:,} values, counted as its aliases repeat them")
        if depth > bounds.depth:
            raise UnreadableError(f"is nested more than {bounds.depth} deep, or contains itself", line)
        if isinstance(node, yaml.ScalarNode):
            if node.tag in _NUMBERS:
                if len(node.value) > bounds.digits:
                    raise UnreadableError(f"holds a number of more than {bounds.digits} digits", line)
                yield node
        else:
            pending.extend((child, depth + 1) for child in _children(node))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for item in node.value:
        yield from item if isinstance(item, tuple) else (item,)


def _check_value(root: Json, bounds: Bounds, most: int) -> None:
    left = most
    pending: list[tuple[object, int]] = [(root, 0)]
    while pending:
        value, depth = pending.pop()
        left -= 1
        if left < 0:
            raise UnreadableError(f"holds more than {most:,} values")
        if depth > bounds.depth:
            raise UnreadableError(f"is nested more than {bounds.depth} deep")
        if isinstance(value, str):
            if not _is_writable(value):
                raise UnreadableError("holds half of a character (a lone surrogate)")
        elif isinstance(value, Mapping):
            for key, item in value.items():
                pending += ((key, depth), (item, depth + 1))
        elif isinstance(value, Sequence):
            pending.extend((item, depth + 1) for item in value)


def _is_writable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
