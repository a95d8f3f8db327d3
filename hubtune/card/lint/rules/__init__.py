"""The rules, a module for each subject; importing this package registers them all."""

from hubtune.card.lint.rules import (
    claims,
    front_matter,
    hub,
    inputs,
    keys,
    licenses,
    links,
    model_index,
    placeholders,
    results,
    sections,
    snippets,
    text,
)
from hubtune.card.lint.rules.text import NOT_UTF8, TOO_LARGE

__all__ = [
    "NOT_UTF8",
    "TOO_LARGE",
    "claims",
    "front_matter",
    "hub",
    "inputs",
    "keys",
    "licenses",
    "links",
    "model_index",
    "placeholders",
    "results",
    "sections",
    "snippets",
    "text",
]
