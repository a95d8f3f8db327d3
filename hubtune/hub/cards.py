"""Reads the front matter of a card that lies on disk."""

from pathlib import Path

import yaml
from huggingface_hub import RepoCard


def front_matter_of(folder: Path) -> dict[str, object]:
    """Returns the front matter of the card in a snapshot; nothing where there is none or it cannot be read."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    try:
        card = RepoCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}
    content: dict[str, object] = card.data.to_dict()  # type: ignore[no-untyped-call]
    return content


def languages_of(folder: Path) -> list[str]:
    """Returns the languages that the card of a snapshot states; none where it states none or cannot be read."""
    stated = front_matter_of(folder).get("language")
    # YAML 1.1 reads the code of Norwegian, unquoted, as false.
    entries = ["no" if entry is False else entry for entry in (stated if isinstance(stated, list) else [stated])]
    return [entry for entry in entries if isinstance(entry, str)]
