"""A fault of a card's metadata, with its place."""

from dataclasses import dataclass

from hubtune.metadata.front_matter import KeyPath


@dataclass(frozen=True)
class Fault:
    """One fault: where it is, and what is wrong in the words of the Hub."""

    path: KeyPath
    message: str

    @classmethod
    def at(cls, path: KeyPath, said: str) -> "Fault":
        """Returns a fault whose message begins with the place, as in `"tags[1]" must be a string`."""
        return cls(path, f'"{show_path(path)}" {said}')


def show_path(path: KeyPath) -> str:
    """Returns a place as people write it: `model-index[0].results`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
