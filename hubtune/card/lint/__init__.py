"""Checks any card, this project's or anybody's: rules with stable names, each finding with its line.

A card is text that strangers wrote. Whatever it is, it ends in findings, in time that grows with its length.
"""

from hubtune.card.lint.card import CardSource
from hubtune.card.lint.registry import Finding, LintReport, all_rules
from hubtune.card.lint.run import lint_folder, lint_source, lint_text

__all__ = ["CardSource", "Finding", "LintReport", "all_rules", "lint_folder", "lint_source", "lint_text"]
