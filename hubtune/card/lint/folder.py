"""Reads a card from a folder on disk, with its licence files, and looks for the files that it names."""

from collections.abc import Callable
from pathlib import Path

from hubtune.card.lint.source import MOST_BYTES, CardSource
from hubtune.errors import CardError
from hubtune.records.pins import RepoType

CARD_NAME = "README.md"
LICENSE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "COPYING.txt")
"""Files that hold the licence of the repository itself; others may hold those of its parts."""
MOST_LICENSE_BYTES = 200_000


def read_folder(path: Path, kind: RepoType | None = None) -> CardSource:
    """Returns the card of a folder, or a card's file, with what lies beside it.

    Raises:
        CardError: There is no card, or it cannot be read.
    """
    try:
        file = path / CARD_NAME if path.is_dir() else path
        if not file.is_file():
            raise CardError(f"There is no {file}.", hint="Give a folder with a README.md, or the file itself.")
        folder = file.parent
        content = _head(file, MOST_BYTES + 1)
        licenses = {
            name: _head(folder / name, MOST_LICENSE_BYTES).decode(errors="replace")
            for name in LICENSE_NAMES
            if (folder / name).is_file()
        }
        # The files that a run's card names come to stand beside it when it is published.
        is_run = (folder / "pins.json").is_file()
    except OSError as error:
        raise CardError(
            f"The card of {path} cannot be read: {error.strerror}.",
            hint="Give a folder with a README.md that you can read, or the file itself.",
        ) from error
    return CardSource(
        content, kind, path=str(file), exists=None if is_run else _looks_in(folder), license_texts=licenses
    )


def _looks_in(folder: Path) -> Callable[[str], bool]:
    def exists(name: str) -> bool:
        try:
            return (folder / name).exists()
        except (OSError, ValueError):
            # Too long a name, or one with a null character, is no file's.
            return False

    return exists


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)
