"""What git's own files say about a path: large by `.gitattributes`, ignored by `.gitignore`."""

import io
import re
from collections.abc import Iterable

from dulwich.attrs import compile_gitattributes_patterns, match_path, parse_git_attributes
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

_LARGE_SUFFIXES = (
    "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gguf", "gz", "h5", "joblib", "lz4", "mds", "mlmodel", "model",
    "msgpack", "npy", "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar",
    "tflite", "tgz", "wasm", "xz", "zip", "zst",
)  # fmt: skip
_LARGE_PATTERNS = (*(f"*.{suffix}" for suffix in _LARGE_SUFFIXES), "saved_model/**/*", "*tfevents*")
_MARK = "filter=lfs diff=lfs merge=lfs -text"

NEW_REPO_ATTRIBUTES = "".join(f"{pattern} {_MARK}\n" for pattern in sorted(_LARGE_PATTERNS)).encode()
"""The `.gitattributes` of a new repository."""


class LargePatterns:
    """The patterns of a `.gitattributes` file that send paths to the store of large files.

    Args:
        content: The file's content; empty where the repository has none.
    """

    def __init__(self, content: bytes) -> None:
        self._patterns = compile_gitattributes_patterns(list(parse_git_attributes(io.BytesIO(content))))

    def match(self, path: str) -> bool:
        """Says whether the path is marked as large."""
        return match_path(self._patterns, path.encode()).get(b"filter") == b"lfs"


class IgnorePatterns:
    """The patterns of a `.gitignore` file.

    Args:
        content: The file's content; empty where the repository has none.
    """

    def __init__(self, content: bytes) -> None:
        self._filter = IgnoreFilter(read_ignore_patterns(io.BytesIO(content)))

    def match(self, path: str) -> bool:
        """Says whether a commit should leave the path out."""
        return self._filter.is_ignored(path) is True


def mark_large(content: bytes, paths: Iterable[str]) -> bytes:
    """Returns `.gitattributes` with a line for each path, so that git too takes it for a large file."""
    lines = content if not content or content.endswith(b"\n") else content + b"\n"
    return lines + "".join(f"{_literal(path)} {_MARK}\n" for path in paths).encode()


def _literal(path: str) -> str:
    escaped = re.sub(r"([*?\[\]\\!#])", r"\\\1", path)
    return "/" + re.sub(r"\s", "[[:space:]]", escaped)
