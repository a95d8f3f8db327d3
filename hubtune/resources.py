"""Finds the files that ship with hubtune: the card's templates and the quickstart's data.

In a wheel they are inside the package (see `force-include` in pyproject.toml); in a checkout they are next to it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def templates_dir() -> Path:
    """Returns the folder of the card's Jinja templates."""
    return _shipped("templates", _PACKAGE.parent / "templates")


def quickstart_dir() -> Path:
    """Returns the folder that holds the quickstart's config and data."""
    return _shipped("quickstart", _PACKAGE.parent / "examples" / "quickstart")


def _shipped(name: str, in_checkout: Path) -> Path:
    installed = _PACKAGE / name
    return installed if installed.is_dir() else in_checkout
