"""What the metadata names: licence, base model and data sets, as somebody else could find them."""

import re
from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.registry import Hit, rule
from hubtune.card.placeholders import find_placeholders, is_placeholder_id
from hubtune.metadata.front_matter import items

_PATH = re.compile(
    r"^(?:[/~\\]|\.{1,2}(?:[/\\]|$)|[A-Za-z]:[\\/]|file:)|\\|(?:^|/)checkpoint-\d+/?$|/.*/"
    r"|\.(?:jsonl?|csv|tsv|parquet|txt|arrow|zip|gz|safetensors|bin|pt)$"
)
_TEXTS = ("license_name", "license_link", "pretty_name", "thumbnail")


def is_local_path(value: object) -> bool:
    """Whether a value that should be a repository's id is a path on somebody's machine."""
    return isinstance(value, str) and len(value) < 1000 and "://" not in value and bool(_PATH.search(value))


@rule("license-missing")
def license_missing(card: Card) -> Iterator[Hit]:
    """The metadata states a licence."""
    if card.front is not None and card.data.get("license") in (None, "", []):
        yield Hit(1, "the metadata states no `license`, so nobody may use this; `license: unknown` says so openly")


@rule("license-other-unnamed")
def license_other_unnamed(card: Card) -> Iterator[Hit]:
    """A licence of `other` has a license_name and a license_link."""
    if "other" in items(card.data.get("license")):
        for key in ("license_name", "license_link"):
            if not card.data.get(key):
                yield Hit(card.line("license"), f"`license: other` needs `{key}`, or nobody knows which licence it is")


@rule("license-link-dead")
def license_link_dead(card: Card) -> Iterator[Hit]:
    """A license_link without an address is a file of the repository."""
    link = card.data.get("license_link")
    if not isinstance(link, str) or not link or ":" in link or card.source.exists is None:
        return
    if not card.source.exists(link.partition("#")[0].removeprefix("./")):
        yield Hit(card.line("license_link"), f"`license_link` names {link!r}, which is not a file of the repository")


@rule("local-path")
def local_path(card: Card) -> Iterator[Hit]:
    """base_model and datasets name repositories, not paths on one machine."""
    for key, line, repo in _named(card):
        if is_local_path(repo):
            yield Hit(line, f"`{key}` names the path {repo!r}, which nobody else has; name a repository of the Hub")


@rule("placeholder-id")
def placeholder_id(card: Card) -> Iterator[Hit]:
    """No key of the metadata holds an example's value."""
    for key, line, repo in _named(card):
        if is_placeholder_id(repo) or find_placeholders(repo):
            yield Hit(line, f"front matter: {key}: {repo!r} is an example's name")
    for key in _TEXTS:
        value = card.data.get(key)
        for found in find_placeholders(value) if isinstance(value, str) else ():
            yield Hit(card.line(key), f"front matter: {key}: placeholder {found!r}")


@rule("base-model-missing")
def base_model_missing(card: Card) -> Iterator[Hit]:
    """An adapter names its base model."""
    is_adapter = card.data.get("library_name") == "peft" or card.data.get("base_model_relation") == "adapter"
    if card.kind == "model" and is_adapter and not card.data.get("base_model"):
        key = "library_name" if "library_name" in card.data else "base_model_relation"
        yield Hit(card.line(key), "an adapter needs its base model, and the metadata has no `base_model`")


@rule("pipeline-tag-missing", "warning")
def pipeline_tag_missing(card: Card) -> Iterator[Hit]:
    """A model's metadata says what the model does."""
    if card.kind == "model" and card.front is not None and not card.data.get("pipeline_tag"):
        yield Hit(1, "the metadata has no `pipeline_tag`, so that the Hub cannot file the model under its task")


@rule("library-name-missing", "warning")
def library_name_missing(card: Card) -> Iterator[Hit]:
    """A model's metadata says which library loads it."""
    if card.kind == "model" and card.front is not None and not card.data.get("library_name"):
        yield Hit(1, "the metadata has no `library_name`, so that the Hub cannot say how to load the model")


def _named(card: Card) -> Iterator[tuple[str, int, str]]:
    for key in ("base_model", "datasets", "source_datasets"):
        value = card.data.get(key)
        for n, item in enumerate(items(value)):
            if isinstance(item, str):
                yield key, card.line(key, n) if isinstance(value, list) else card.line(key), item
