"""The inputs that the metadata names: license, base model and datasets, and whether other people can find them."""

import re
from collections.abc import Iterator

from hubtune.card.licensing.decision import LicenseDecision, OtherTerms, decide
from hubtune.card.licensing.rules import OTHER, UNKNOWN
from hubtune.card.lint.card import Card, family, licenses_in
from hubtune.card.lint.registry import Hit, rule
from hubtune.card.markdown import find_placeholders, is_placeholder_id
from hubtune.config.schema import AcceptedLicense
from hubtune.metadata.front_matter import items, texts

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
    """The metadata states a license."""
    if card.front is not None and card.data.get("license") in (None, "", []):
        yield Hit(1, "the metadata states no `license`, so nobody may use this; `license: unknown` says so openly")


@rule("license-other-unnamed")
def license_other_unnamed(card: Card) -> Iterator[Hit]:
    """`license: other` has a `license_name` and a `license_link`."""
    if "other" in items(card.data.get("license")):
        for key in ("license_name", "license_link"):
            if not card.data.get(key):
                yield Hit(
                    card.line("license"), f"`license: other` needs `{key}`, or nobody knows which license is meant"
                )


@rule("license-link-dead")
def license_link_dead(card: Card) -> Iterator[Hit]:
    """A `license_link` without a URL is a file of the repository."""
    link = card.data.get("license_link")
    if not isinstance(link, str) or not link or ":" in link or card.source.exists is None:
        return
    if not card.source.exists(link.partition("#")[0].removeprefix("./")):
        yield Hit(card.line("license_link"), f"`license_link` names {link!r}, which is not a file of the repository")


@rule("local-path")
def local_path(card: Card) -> Iterator[Hit]:
    """`base_model` and `datasets` name repositories, not local paths."""
    for key, line, repo in _named(card):
        if is_local_path(repo):
            yield Hit(
                line, f"`{key}` names the path {repo!r}, which only exists on one machine; name a repository of the Hub"
            )


@rule("placeholder-id")
def placeholder_id(card: Card) -> Iterator[Hit]:
    """No key of the metadata has the value of an example."""
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
    """The metadata of a model names its task."""
    if card.kind == "model" and card.front is not None and not card.data.get("pipeline_tag"):
        yield Hit(1, "the metadata has no `pipeline_tag`, so the Hub cannot list the model under its task")


@rule("library-name-missing", "warning")
def library_name_missing(card: Card) -> Iterator[Hit]:
    """The metadata of a model names the library that loads it."""
    if card.kind == "model" and card.front is not None and not card.data.get("library_name"):
        yield Hit(1, "the metadata has no `library_name`, so the Hub cannot show how to load the model")


def _named(card: Card) -> Iterator[tuple[str, int, str]]:
    for key in ("base_model", "datasets", "source_datasets"):
        value = card.data.get(key)
        for n, item in enumerate(items(value)):
            if isinstance(item, str):
                yield key, card.line(key, n) if isinstance(value, list) else card.line(key), item


_UNCERTAIN = frozenset({OTHER, UNKNOWN})


@rule("license-file")
def license_file(card: Card) -> Iterator[Hit]:
    """The stated license is the one whose text is in the license file."""
    stated = set(texts(card.data, "license"))
    if not stated or stated & _UNCERTAIN:
        return
    found = {name: licenses_in(text) for name, text in card.source.license_texts.items()}
    known = set().union(*found.values()) if found else set()
    if known and not any(family(one) & family(other) for one in stated for other in known):
        held = "; ".join(f"{name} holds {' and '.join(sorted(ids))}" for name, ids in found.items() if ids)
        yield Hit(card.line("license"), f"the card states {' and '.join(sorted(stated))}, and {held}")


@rule("license-inputs")
def license_inputs(card: Card) -> Iterator[Hit]:
    """The licenses of the base model and the datasets allow the stated license."""
    certain = _refusals(_decide(card, granted=True))
    for reason in certain:
        yield Hit(card.line("license"), f"the inputs do not allow this license: {reason}")
    # What an input leaves open is its own fault; a card of hubtune says who signed it off.
    for reason in _refusals(_decide(card)) if not card.own else ():
        if reason not in certain:
            yield Hit(card.line("license"), f"what the inputs allow is not certain: {reason}", "warning")
    for reason in card.source.unread:
        yield Hit(card.line("license"), f"a license was not compared: {reason}", "warning")


@rule("license-display")
def license_display(card: Card) -> Iterator[Hit]:
    """The card shows texts that an input's license requires, such as "Built with Llama"."""
    decision = _decide(card)
    shown = " ".join(card.body.split()).lower()
    for duty in decision.duties if decision is not None else ():
        if duty.kind == "display" and duty.shown and duty.shown.lower() not in shown:
            said = f'the license of an input requires "{duty.shown}" on the card, and it is not there'
            yield Hit(card.line("base_model"), said)


@rule("license-name-prefix")
def license_name_prefix(card: Card) -> Iterator[Hit]:
    """The name of a model begins as the license of its base model requires."""
    without = _refusals(_decide(card))
    for reason in _refusals(_decide(card, name=card.source.name)):
        if reason not in without:
            yield Hit(card.line("base_model"), reason)


def _refusals(decision: LicenseDecision | None) -> tuple[str, ...]:
    return decision.reasons if decision is not None and decision.verdict == "refused" else ()


def _decide(card: Card, *, name: str | None = None, granted: bool = False) -> LicenseDecision | None:
    """Returns what the license decision says about the card; None if it states nothing, or nobody asked.

    Args:
        card: The card.
        name: The model's name.
        granted: Take for given what inputs leave open: a grant that is not known, a licence's text.
    """
    stated = list(dict.fromkeys(texts(card.data, "license")))
    inputs = card.source.inputs
    if not inputs or len(stated) != 1 or stated[0] == UNKNOWN:
        return None
    accepted: list[AcceptedLicense] = []
    if granted:
        inputs = tuple(item.model_copy(update={"files": item.files or {"LICENSE": ""}}) for item in inputs)
        repos = dict.fromkeys(item.repo for item in inputs if item.repo)
        accepted = [AcceptedLicense(repo=repo, reason="Looked at apart.", by="lint") for repo in repos]
    own_name, link = card.data.get("license_name"), card.data.get("license_link")
    return decide(
        inputs,
        stated[0],
        name=name,
        accepted=accepted,
        other=OtherTerms(own_name if isinstance(own_name, str) else None, link if isinstance(link, str) else None),
    )
