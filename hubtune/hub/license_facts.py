"""Reads what a repository states about its license: its card's metadata, and its license, notice and policy files."""

import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.hf_api import RepoFile

from hubtune.documents import UnreadableError
from hubtune.errors import FileError, HubError
from hubtune.files import read_text, scratch_folder
from hubtune.hub.repo_files import require_safe_names
from hubtune.hub.translate import hub_errors
from hubtune.metadata.front_matter import front_matter, items
from hubtune.records.base import LicensedInput, Pin, sha256_file, stated_licenses

_LONGEST = 300
# Each is a request to the Hub; the datasets with most have a license for each of a few sources.
_MOST_FILES = 50
LEGAL_PATTERNS = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "*USE[_-]POLICY*")
"""Names of the files that hold a license, in capitals; they are looked for at the top of the repository alone."""


def front_matter_of(folder: Path) -> dict[str, object]:
    """Returns the front matter of the card in a snapshot; empty if it is missing or cannot be read."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    try:
        return dict(front_matter(read_text(path)) or {})
    except (FileError, UnreadableError):
        return {}


def languages_of(folder: Path) -> list[str]:
    """Returns the languages that the card of a snapshot states; none if it states none or cannot be read."""
    stated = front_matter_of(folder).get("language")
    return [entry for entry in items(stated) if isinstance(entry, str)]


def is_legal_file(path: str) -> bool:
    """Whether a file of a repository is a license, notice or policy file, by its name."""
    name = path.upper()
    return "/" not in path and any(fnmatch.fnmatchcase(name, pattern) for pattern in LEGAL_PATTERNS)


def read_licensed_input(pin: Pin, folder: Path) -> LicensedInput:
    """Returns what a pinned repository states about its license, from a folder with its card and its legal files."""
    card = front_matter_of(folder)
    name, link = card.get("license_name"), card.get("license_link")
    return LicensedInput(
        kind="base" if pin.type == "model" else "data",
        repo=pin.repo,
        commit=pin.commit,
        licenses=[line for entry in stated_licenses(pin.license) if (line := _line(entry))],
        license_name=_line(name),
        license_link=_line(link),
        files={path.name: sha256_file(path) for path in legal_files(folder)},
    )


def _line(value: object) -> str | None:
    """Returns what a stranger's card states as one line of bounded length, since it goes into plain text files."""
    line = " ".join(value.split())[:_LONGEST] if isinstance(value, str) else ""
    return "".join(character for character in line if character.isprintable()) or None


def legal_files(folder: Path) -> list[Path]:
    """Returns the legal files of a snapshot, by name."""
    return sorted((path for path in folder.iterdir() if path.is_file() and is_legal_file(path.name)), key=str)


def fetch_licensed_input(pin: Pin) -> LicensedInput:
    """Returns what a pinned repository states about its license; only its card and its legal files are downloaded.

    Raises:
        HubError: The repository or its files are not available, or are too many.
    """
    # Not into the cache: a snapshot of a few files would pass for the whole one.
    with scratch_folder() as folder, hub_errors(pin.repo, pin.commit):
        files = HfApi().list_repo_tree(pin.repo, repo_type=pin.type, revision=pin.commit)
        names = [entry.path for entry in files if isinstance(entry, RepoFile)]
        require_safe_names(pin.repo, names)
        legal = sum(map(is_legal_file, names))
        if legal > _MOST_FILES:
            raise HubError(
                f"{pin.repo} at {pin.commit} holds {legal:,} license, notice and policy files beside its card; at most "
                f"{_MOST_FILES} are read.",
                hint="Look at them on the Hub, or choose another repository or revision.",
            )
        for name in names:
            if name == "README.md" or is_legal_file(name):
                hf_hub_download(pin.repo, name, repo_type=pin.type, revision=pin.commit, local_dir=folder)
        return read_licensed_input(pin, folder)
