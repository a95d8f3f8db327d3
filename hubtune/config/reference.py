"""The reference of the config's keys: a JSON schema for editors, and a table for people.

The docstring below a field describes its key, once. Docstrings are read from the source on demand: pydantic's
`use_attribute_docstrings` would read them at every start, and more than double the time to import a config.
"""

import ast
import functools
import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from hubtune import __version__
from hubtune.config.fields import matching
from hubtune.config.schema import TuneConfig
from hubtune.documents import UnreadableError, load_json

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA_FILE = "hubtune.schema.json"
"""The usual name of the JSON schema beside a config."""
_ID = "urn:hubtune:config:"
# Texts of which pydantic makes a number or a truth value: YAML 1.1, which PyYAML reads, takes 2e-4 for a text, and an
# editor, which reads YAML 1.2, takes yes for one.
_INTEGER_TEXT = matching(r"^\s*[+-]?[0-9]+(?:_[0-9]+)*(?:\.0+)?\s*$", "This has to be a whole number.")
_NUMBER_TEXT = matching(
    r"^\s*[+-]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*$", "This has to be a number."
)
_TRUTH_TEXT = matching(
    r"^(?:[Tt]([Rr][Uu][Ee])?|[Yy]([Ee][Ss])?|[Oo]([Nn]|[Ff][Ff])|[Ff]([Aa][Ll][Ss][Ee])?|[Nn][Oo]?|[01])$",
    "This has to be true or false.",
)
_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
# Larger bounds are those of the computer, and tell people nothing.
_LARGEST = 1_000_000


@dataclass(frozen=True)
class Key:
    """A key of the config.

    Attributes:
        path: Where it is, such as `data[].repo`.
        values: What it may be, in words.
        default: What it is unless given, as YAML; None if it has to be given, empty if it is left out.
        description: What it does.
    """

    path: str
    values: str
    default: str | None
    description: str

    @property
    def summary(self) -> str:
        """The first sentence of the description, without its full stop."""
        return self.description.partition(". ")[0].removesuffix(".")


class _Subsection(NamedTuple):
    name: str
    several: bool


@functools.cache
def config_schema() -> JsonSchemaValue:
    """Returns the JSON schema of a config (draft 2020-12), which says what can be said without the other keys' values.

    It accepts all that the loader accepts.
    """
    schema = TuneConfig.model_json_schema(schema_generator=_Generator)
    named = {"$schema": _Generator.schema_dialect, "$id": f"{_ID}{__version__}", "title": "hubtune.yaml"}
    return {**named, **{key: value for key, value in schema.items() if key not in named}}


def schema_text() -> str:
    """Returns the JSON schema as the text of a file."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def is_schema(text: str) -> bool:
    """Whether a file's text is this schema, of any version of hubtune."""
    try:
        found = load_json(text)
    except UnreadableError:
        return False
    return isinstance(found, dict) and str(found.get("$id", "")).startswith(_ID)


@functools.cache
def config_keys() -> dict[str, Key]:
    """Returns all keys by their paths, sections with them, in the order of the config."""
    return {key.path: key for key in _keys(config_schema(), "", set())}


def reference() -> str:
    """Returns the reference of all keys as Markdown: for each section a heading, what it is for, and a table."""
    parts: list[str] = []
    for section in config_schema()["properties"]:
        keys = config_keys()
        parts += [f"### `{section}`\n", f"{keys[section].description}\n", "| key | value | default | meaning |"]
        parts += ["|---|---|---|---|", *(_row(keys[path]) for path in keys if _is_below(path, section)), ""]
    return "\n".join(parts)


def _is_below(path: str, section: str) -> bool:
    return path.startswith((f"{section}.", f"{section}[]."))


def _row(key: Key) -> str:
    none = "" if key.values == "section" else "none"
    default = "required" if key.default is None else f"`{key.default}`" if key.default else none
    cells = (f"`{key.path}`", key.values, default, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class _Generator(GenerateJsonSchema):
    """Describes each key, names no classes, and takes the texts that pydantic makes a number of."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        form = super().model_schema(schema)
        described = descriptions(schema["cls"])
        for name, below in form["properties"].items():
            below["description"] = described[name]
            # An editor would offer a section with all its keys, each of which has a default of its own, or `null`.
            if "$ref" in below or below.get("default", "") is None:
                below.pop("default", None)
        return {key: value for key, value in form.items() if key not in ("title", "description")}

    def field_title_should_be_set(self, _: Any) -> bool:
        return False

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        # No field of the config makes its default of the other values, which a factory may ask for.
        factory = cast("Callable[[], object] | None", schema.get("default_factory"))
        return super().get_default_value(schema) if factory is None else factory()

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return {**super().int_schema(schema), "type": ["integer", "string"], **_INTEGER_TEXT}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {**super().float_schema(schema), "type": ["number", "string"], **_NUMBER_TEXT}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        numbers = {"minimum": 0, "maximum": 1, "multipleOf": 1}
        return {
            **super().bool_schema(schema),
            "type": ["boolean", "string", "number"],
            **_TRUTH_TEXT,
            **numbers,
        }


def descriptions(model: type) -> dict[str, str]:
    """Returns what the docstrings below a class's fields say, by the fields' names."""
    return _described_in(model.__module__).get(model.__qualname__, {})


@functools.cache
def _described_in(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_docstrings(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docstrings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


def _keys(section: JsonSchemaValue, prefix: str, seen: set[str]) -> Iterator[Key]:
    for name, form in section["properties"].items():
        path = f"{prefix}{name}"
        required = name in section.get("required", ())
        below = _section(form)
        values = _words(form) if below is None or below.several else "section"
        yield Key(path, values, None if required else _yaml(form.get("default")), form["description"])
        # The earlier task's datasets have the keys of the others.
        if below is not None and below.name not in seen:
            seen.add(below.name)
            yield from _keys(config_schema()["$defs"][below.name], f"{path}[]." if below.several else f"{path}.", seen)


def _section(form: JsonSchemaValue) -> _Subsection | None:
    """Returns the section that a key holds, alone or in a list."""
    for choice in form.get("anyOf", [form]):
        several = choice.get("type") == "array"
        reference = (choice["items"] if several else choice).get("$ref")
        if reference is not None:
            return _Subsection(reference.rpartition("/")[2], several)
    return None


def _words(form: JsonSchemaValue) -> str:
    choices = [_word(choice) for choice in form.get("anyOf", [form]) if choice.get("type") != "null"]
    return " or ".join(dict.fromkeys(choices))


def _word(form: JsonSchemaValue) -> str:
    if "title" in form:
        return str(form["title"])
    if "const" in form or "enum" in form:
        *others, last = (f"`{_yaml(value)}`" for value in form.get("enum", [form.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if "$ref" in form:
        return "section"
    if form["type"] == "array":
        items = _words(form["items"])
        return "list of entries" if "$ref" in form["items"] else f"list of {items}" + ("" if "`" in items else "s")
    kind = form["type"] if isinstance(form["type"], str) else form["type"][0]
    bounds = [words.format(form[bound]) for bound, words in _BOUNDS.items() if form.get(bound, _LARGEST) < _LARGEST]
    return _NAMES[kind] if kind == "boolean" or not bounds else f"{_NAMES[kind]} ({' and '.join(bounds)})"


def _yaml(value: object) -> str:
    """Returns a default as one writes it in the config; nothing for what is not there."""
    if value in (None, []):
        return ""
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return value if isinstance(value, str) else json.dumps(value)
