"""Reads the front matter of a card that lies on disk."""

from pathlib import Path

from hubtune.documents import UnreadableError
from hubtune.errors import FileError
from hubtune.files import read_text
from hubtune.metadata.front_matter import front_matter, items


def front_matter_of(folder: Path) -> dict[str, object]:
    """Returns the front matter of the card in a snapshot; nothing where there is none or it cannot be read."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    try:
        return dict(front_matter(read_text(path)) or {})
    except (FileError, UnreadableError):
        return {}


def languages_of(folder: Path) -> list[str]:
    """Returns the languages that the card of a snapshot states; none where it states none or cannot be read."""
    stated = front_matter_of(folder).get("language")
    return [entry for entry in items(stated) if isinstance(entry, str)]
