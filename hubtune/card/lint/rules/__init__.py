"""The rules, a module for each subject; importing this package registers them all."""

from hubtune.card.lint.rules import inputs, links, metadata, results, snippets, text
from hubtune.card.lint.rules.text import NOT_UTF8, TOO_LARGE

__all__ = ["NOT_UTF8", "TOO_LARGE", "inputs", "links", "metadata", "results", "snippets", "text"]
