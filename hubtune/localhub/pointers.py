"""The small text that stands in a git tree for a large file, as Git LFS defines it."""

import re
from dataclasses import dataclass

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]*)\n"
)
_LONGEST = 200


@dataclass(frozen=True)
class Pointer:
    """Names a large file by its content.

    Attributes:
        sha256: 64 hexadecimal digits.
        size: Bytes of the content, not of the pointer.
    """

    sha256: str
    size: int

    def encode(self) -> bytes:
        """Returns the pointer file's content."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @classmethod
    def decode(cls, content: bytes) -> "Pointer | None":
        """Returns the pointer that the content is, or None where it is an ordinary file."""
        if len(content) > _LONGEST:
            return None
        match = _POINTER.fullmatch(content)
        return cls(match[1].decode(), int(match[2])) if match else None
