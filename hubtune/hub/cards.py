"""Reads the front matter of a card that lies on disk."""

from pathlib import Path

from huggingface_hub import RepoCard


def languages_of(folder: Path) -> list[str]:
    """Returns the languages that the card of a snapshot states; none where it states none or cannot be read."""
    path = folder / "README.md"
    if not path.is_file():
        return []
    try:
        stated = RepoCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.get("language")
    except ValueError:
        return []
    if isinstance(stated, str):
        return [stated]
    return [str(language) for language in stated] if isinstance(stated, list) else []
