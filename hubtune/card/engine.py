"""The template engine of the card: sandboxed, undefined names are errors, and plain text is escaped when printed."""

import functools
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hubtune.card import markdown, numbers


@functools.cache
def card_engine(templates: Path) -> ImmutableSandboxedEnvironment:
    """Returns the template engine of the card: sandboxed, with undefined names as errors."""
    engine = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        finalize=markdown.to_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for module, names in (
        (markdown, ("code", "cell", "fenced", "statement")),
        (numbers, ("thousands", "plain", "rough", "measure", "signed", "percent", "signed_percent")),
    ):
        engine.filters.update({name: getattr(module, name) for name in names})
    return engine
