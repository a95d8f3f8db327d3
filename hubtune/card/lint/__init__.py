"""Checks any card, this project's or anybody's: rules with stable names, each finding with its line.

A card is text that strangers wrote. Whatever it is, it ends in findings, in time that grows with its length.
"""

from hubtune.card.lint.registry import all_rules
from hubtune.card.lint.report import Finding, LintReport
from hubtune.card.lint.run import lint_folder, lint_source, lint_text
from hubtune.card.lint.source import CardSource

__all__ = ["CardSource", "Finding", "LintReport", "all_rules", "lint_folder", "lint_source", "lint_text"]
