"""What is known of a file by its path: large by `.gitattributes`, ignored by `.gitignore`, a picture by its name.

Both of git's files are read and written here; how their patterns match is `git_patterns`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.git_patterns import LONGEST_FILE, Pattern, PatternList

_LARGE_SUFFIXES = (
    "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gguf", "gz", "h5", "joblib", "lz4", "mds", "mlmodel", "model",
    "msgpack", "npy", "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar",
    "tflite", "tgz", "wasm", "xz", "zip", "zst",
)  # fmt: skip
_LARGE_PATTERNS = (*(f"*.{suffix}" for suffix in _LARGE_SUFFIXES), "saved_model/**/*", "*tfevents*")
_NAME = re.compile(rb"[-!]?[A-Za-z0-9_.][-A-Za-z0-9_.]*(?:=.*)?", re.DOTALL)
_BLANKS = b" \t\r\n"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_MARK = "filter=lfs diff=lfs merge=lfs -text"

NEW_REPO_ATTRIBUTES = "".join(f"{pattern} {_MARK}\n" for pattern in sorted(_LARGE_PATTERNS)).encode()
"""The `.gitattributes` of a new repository."""

_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
UNTRUSTED = {
    "X-Content-Type-Options": "nosniff",
    # An SVG that is opened by itself is a document, and might bring scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
"""Headers of every file that a stranger may have written: a browser neither guesses its type nor runs what is in it."""


class LargePatterns:
    """The patterns of a `.gitattributes` file that send paths to the store of large files.

    Args:
        content: The file's content; empty if the repository has none.

    Raises:
        ApiError: 413 if there are more patterns than are matched.
    """

    def __init__(self, content: bytes) -> None:
        lines = [(pattern, large) for pattern, large in _read_attributes(content) if large is not None]
        self._large = [large for _, large in lines]
        self._patterns = PatternList([Pattern.parse(pattern) for pattern, _ in lines], ".gitattributes")

    def match(self, path: str) -> bool:
        """Says whether the path is marked as large."""
        *_, found = self._patterns.matches(path.encode(errors="replace"))
        return found is not None and self._large[found]


class IgnorePatterns:
    """The patterns of a `.gitignore` file.

    Args:
        content: The file's content; empty if the repository has none.

    Raises:
        ApiError: 413 if there are more patterns than are matched.
    """

    def __init__(self, content: bytes) -> None:
        lines = [_without_spaces(line) for line in _lines(content, ".gitignore") if line[:1] != b"#"]
        self._ignores = [not line.startswith(b"!") for line in lines]
        self._patterns = PatternList([Pattern.parse(line.removeprefix(b"!")) for line in lines], ".gitignore")

    def match(self, path: str) -> bool:
        """Says whether a commit should leave the path out."""
        found = None
        for found in self._patterns.matches(path.encode(errors="replace")):
            # Git does not look into a folder that it ignores, so nothing below can be taken out again.
            if found is not None and self._ignores[found]:
                return True
        return False


def mark_large(content: bytes, paths: Iterable[str]) -> bytes:
    """Returns `.gitattributes` with a line for each path, so that git too takes it for a large file."""
    lines = content if not content or content.endswith(b"\n") else content + b"\n"
    return lines + "".join(f"{_literal(path)} {_MARK}\n" for path in paths).encode()


def _literal(path: str) -> str:
    escaped = re.sub(r"([*?\[\]\\!#])", r"\\\1", path)
    return "/" + re.sub(r"[ \t\r\n]", "[[:space:]]", escaped)


def _lines(content: bytes, name: str) -> Iterator[bytes]:
    if len(content) > LONGEST_FILE:
        raise ApiError(413, f"The repository's {name} is larger than {LONGEST_FILE >> 20} MiB.")
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        # As C reads it, a line ends with its first zero byte.
        yield line.removesuffix(b"\r").partition(b"\0")[0]


def _without_spaces(line: bytes) -> bytes:
    """Returns an ignore pattern without the spaces at its end, unless a backslash keeps one."""
    end = len(line.rstrip(b" "))
    escapes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + 1] if escapes % 2 else line[:end]


def _read_attributes(content: bytes) -> Iterator[tuple[bytes, bool | None]]:
    """Yields each pattern, and whether it makes a path large; None if it says nothing of that."""
    macros: dict[bytes, bool | None] = {}
    for line in _lines(content, ".gitattributes"):
        line = line.lstrip(_BLANKS)
        if not line or line.startswith(b"#"):
            continue
        pattern, attributes = _pattern_and_rest(line)
        large: bool | None = None
        names = attributes.split()
        if not all(map(_NAME.fullmatch, names)):
            # Git leaves out the whole line.
            continue
        for attribute in names:
            name, _, value = attribute.lstrip(b"-!").partition(b"=")
            if name == b"filter":
                large = value == b"lfs" and attribute[:1] not in b"-!"
            elif attribute in macros:
                large = macros[attribute]
        if pattern.startswith(b"[attr]"):
            macros[pattern.removeprefix(b"[attr]")] = large
        # Git leaves out negative patterns here.
        elif not pattern.startswith(b"!"):
            yield pattern, large


def _pattern_and_rest(line: bytes) -> tuple[bytes, bytes]:
    quoted = _QUOTED.match(line)
    if quoted is None:
        pattern, *rest = re.split(rb"[ \t\r\n]+", line, maxsplit=1)
        return pattern, b"".join(rest)
    return _ESCAPE.sub(lambda match: _unescaped(match[1]), quoted[1]), line[quoted.end() :]


def _unescaped(code: bytes) -> bytes:
    return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPED.get(code, code)


def picture_type(path: str) -> str | None:
    """Returns the media type of a picture by its name, or None for any other file."""
    return _TYPES.get(PurePosixPath(path).suffix.lower())
