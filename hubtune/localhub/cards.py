"""Reads the front matter of a README and derives from it what the Hub shows beside a repository."""

import math
import re
from collections.abc import Iterator, Mapping

import yaml

from hubtune.localhub.ids import RepoType
from hubtune.localhub.safe_yaml import load_yaml

# Two searches for what would be one pattern, in which long runs of line ends had cubic cost.
_START = re.compile(r"\s*---[\r\n]")
_END = re.compile(r"[\r\n]---(?:\r\n|\n|\Z)")
_BOOLEAN = "tag:yaml.org,2002:bool"
_MOST_VALUES = 100_000
_DEEPEST = 50
# Beyond this JSON's numbers are not whole ones to most readers, and Python refuses to write the longest.
_LARGEST = 1 << 64
_PLAIN = ("library_name", "pipeline_tag")
_PREFIXED = {"license": "license", "datasets": "dataset"}
_DATASET_PREFIXED = {
    "license": "license",
    "language": "language",
    "task_categories": "task_categories",
    "size_categories": "size_categories",
}


class _CardLoader(yaml.SafeLoader):
    """Reads words as the Hub does: by YAML 1.2, where `no` is the code of Norwegian and not false."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class has it so
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_CardLoader.add_implicit_resolver(_BOOLEAN, re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def front_matter(text: str) -> Mapping[str, object] | None:
    """Returns the metadata of a card, or None where it has none.

    Raises:
        yaml.YAMLError: If the front matter is not a YAML mapping.
    """
    matter, _ = split_card(text)
    if matter is None:
        return None
    data = load_yaml(matter, _CardLoader)
    if data is None:
        return None
    if not isinstance(data, dict):
        raise yaml.YAMLError("the front matter is not a mapping")
    plain = _Plain().copy(data)
    return plain if isinstance(plain, dict) else None


def split_card(text: str) -> tuple[str | None, str]:
    """Returns the text of a card's front matter, or None where it has none, and the Markdown below it."""
    start = _START.match(text)
    end = _END.search(text, start.end()) if start else None
    if start is None or end is None:
        return None, text
    return text[start.end() : end.start()].strip("\r\n"), text[end.end() :]


def card_tags(type_: RepoType, card: Mapping[str, object]) -> list[str]:
    """Returns the tags under which the Hub files a repository with this card."""
    prefixed = _DATASET_PREFIXED if type_ is RepoType.DATASET else _PREFIXED
    plain = ("tags",) if type_ is RepoType.DATASET else (*_PLAIN, "tags", "language")
    tags = [value for key in plain for value in _values(card, key)]
    tags += [f"{prefix}:{value}" for key, prefix in prefixed.items() for value in _values(card, key)]
    relation = card.get("base_model_relation")
    for base in _values(card, "base_model"):
        tags.append(f"base_model:{base}")
        if isinstance(relation, str):
            tags.append(f"base_model:{relation}:{base}")
    return list(dict.fromkeys(tags))


class _Plain:
    """Copies YAML's values as JSON's, and refuses what references make endless or very large."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def copy(self, value: object, depth: int = 0) -> object:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise yaml.YAMLError("the front matter is too large")
        if isinstance(value, dict):
            return {str(self.copy(key, depth + 1)): self.copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [self.copy(item, depth + 1) for item in value]
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise yaml.YAMLError("a number is too large")
        if isinstance(value, str):
            # An escape can make half of a surrogate pair, which no answer could hold.
            return value.encode(errors="replace").decode()
        # Neither dates nor NaN are JSON.
        is_plain = value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        return value if is_plain else str(value)


def _values(card: Mapping[str, object], key: str) -> Iterator[str]:
    value = card.get(key)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item
