"""Checks any model or dataset card: rules with stable names, and findings with their lines.

A card is untrusted text. Whatever it contains, the check ends with findings, in a time that grows with its length.
"""

from hubtune.card.lint.card import CardSource
from hubtune.card.lint.registry import Finding, LintReport, all_rules
from hubtune.card.lint.run import lint_folder, lint_source, lint_text

__all__ = ["CardSource", "Finding", "LintReport", "all_rules", "lint_folder", "lint_source", "lint_text"]
