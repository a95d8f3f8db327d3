"""Where repositories went that were moved, so that their old names still lead to them, as on the Hub."""

import json
from pathlib import Path

from pydantic import TypeAdapter

from hubtune.localhub.disk import write_durably
from hubtune.localhub.ids import RepoId

MOVES_FILE = "moves.json"
"""The file's name in the folder of all repositories."""

_MOVES = TypeAdapter(dict[str, str])


class Moves:
    """A small file of old and new names.

    Args:
        path: The file; made with the first move.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, str]:
        """Returns the present name of each old one.

        Raises:
            ValueError: If the file holds something else.
        """
        try:
            return _MOVES.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}

    def target(self, repo_id: RepoId) -> RepoId | None:
        """Returns what a repository of this name is called now, or None where none was moved from there."""
        name = self.all().get(repo_id.key)
        return RepoId.parse(repo_id.type, name) if name is not None else None

    def note(self, old: RepoId, new: RepoId) -> None:
        """Writes down a move; earlier moves to the old name lead on to the new one."""
        moves = {
            key: str(new) if key.startswith(f"{old.type.plural}/") and name.casefold() == str(old).casefold() else name
            for key, name in self.all().items()
        }
        moves[old.key] = str(new)
        moves.pop(new.key, None)
        write_durably(self._path, json.dumps(moves, indent=2).encode())
