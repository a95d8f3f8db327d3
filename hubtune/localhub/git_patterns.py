"""Matches paths against the patterns of git's own files, as git does, in time that grows with path and patterns alone.

A pattern with many stars makes a regular expression try each way to divide a path among them. Here all patterns of a
file run as one automaton whose states are the bits of a number: each byte of a path is one step, whatever the stars.
"""

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from hubtune.localhub.api_errors import ApiError

LONGEST_FILE = 1 << 20
"""Bytes of a file of patterns."""

_LONGEST = 4096
_MOST_STATES = 1 << 17
_MOST_CLASSES = 4096
# Steps of all paths that one list is asked about, each weighed with the states that it moves: seconds, not minutes.
_MOST_WORK = 1 << 34
_SLASH, _BACKSLASH = b"/\\"
_SPECIAL = re.compile(rb"[*?\[\\]")
_STARS = re.compile(rb"\*+")
_NOT_SLASH = bytes(byte for byte in range(256) if byte != _SLASH)
_PRINTED = string.ascii_letters + string.digits + string.punctuation
_CLASSES = {
    name.encode(): members.encode("latin-1")
    for name, members in {
        "alnum": string.ascii_letters + string.digits,
        "alpha": string.ascii_letters,
        "blank": " \t",
        "cntrl": "".join(map(chr, [*range(0x20), 0x7F])),
        "digit": string.digits,
        "graph": _PRINTED,
        "lower": string.ascii_lowercase,
        "print": f"{_PRINTED} ",
        "punct": string.punctuation,
        "space": " \t\n\r",
        "upper": string.ascii_uppercase,
        "xdigit": string.hexdigits,
    }.items()
}
_SPACE = bytes(sorted(_CLASSES[b"space"]))
# No path of a commit holds it, and no pattern: there a line ends.
_ANY_SPACE = b"\0"
_SPACED = bytes.maketrans(_SPACE, _ANY_SPACE * len(_SPACE))


class _Loop(Enum):
    """A token that takes any number of bytes: none of them a slash, any, or any with the slash behind it or nothing."""

    STAR = 1
    DEEP = 2
    FOLDERS = 3


_Token = bytes | _Loop
"""The bytes of which one is taken, or a loop."""


@dataclass(frozen=True)
class Pattern:
    """A pattern of a `.gitignore` or `.gitattributes`.

    Attributes:
        text: The pattern without the slash at its end.
        folders_only: Whether it had one.
    """

    text: bytes
    folders_only: bool

    @classmethod
    def parse(cls, text: bytes) -> "Pattern":
        """Reads a pattern, without the `!` that may be before it."""
        return cls(text[:-1], folders_only=True) if text.endswith(b"/") else cls(text, folders_only=False)


class PatternList:
    """The patterns of one file, of which the last that matches counts.

    Args:
        patterns: In the order of the file.
        name: What to call the file in an error.

    Raises:
        ApiError: 413 if one is too long, or they hold more wildcards than are matched.
    """

    def __init__(self, patterns: Sequence[Pattern], name: str) -> None:
        if any(len(pattern.text) > _LONGEST for pattern in patterns):
            raise ApiError(413, f"The repository's {name} holds a pattern of more than {_LONGEST} bytes.")
        self._name = name
        self._names, self._paths = _Automaton(), _Automaton()
        for index, pattern in enumerate(patterns):
            # A pattern without a slash means the names in every folder.
            table = self._paths if b"/" in pattern.text else self._names
            table.add(index, pattern, is_path=table is self._paths)
        states = self._names.states + self._paths.states
        if states > _MOST_STATES or self._names.classes + self._paths.classes > _MOST_CLASSES:
            raise ApiError(413, f"The repository's {name} holds more patterns with wildcards than this Hub matches.")
        self._names.build()
        self._paths.build()
        self._states = states
        self._work = 0

    def matches(self, path: bytes) -> Iterator[int | None]:
        """Yields the place in the list of the last pattern that matches: for each folder of a path, and for its file.

        Raises:
            ApiError: 413 if too many paths were asked about for so many patterns.
        """
        self._work += len(path) * self._states
        if self._work > _MOST_WORK:
            raise ApiError(413, f"Too many paths at once for the patterns of {self._name}. Send fewer in a request.")
        parts = path.split(b"/")
        state, whole = self._paths.first, b""
        for depth, part in enumerate(parts):
            is_folder = depth < len(parts) - 1
            if depth:
                state = self._paths.run(state, b"/")
                whole += b"/"
            state = self._paths.run(state, part)
            whole += part
            in_names = self._names.found(self._names.run(self._names.first, part), part, is_folder=is_folder)
            found = max(in_names, self._paths.found(state, whole, is_folder=is_folder))
            yield found if found >= 0 else None


class _Automaton:
    """Patterns for the same kind of text: those without wildcards to look up, the others to run."""

    def __init__(self) -> None:
        self.states = 0
        self.classes = 0
        self.first = 0
        self._literal: dict[tuple[bool, bytes], int] = {}
        self._tokens: list[tuple[int, Pattern, list[_Token]]] = []
        self._index: dict[int, int] = {}
        self._accept = {True: 0, False: 0}
        self._eaten: dict[int, int] = {}
        self._any = self._stay = self._deep = self._skip = 0

    def add(self, index: int, pattern: Pattern, *, is_path: bool) -> None:
        # Git looks for the part before the first wildcard by itself: what follows counts as a pattern's beginning.
        text = pattern.text[1:] if pattern.text.startswith(b"/") else pattern.text
        special = _SPECIAL.search(text)
        start = special.start() if special else len(text)
        rest = _tokens(text, start, is_path=is_path)
        if rest is None or not text:
            return
        tokens: list[_Token] = [*(text[at : at + 1] for at in range(start)), *rest]
        literal = _literal(tokens)
        if literal is not None:
            self._literal[True, literal] = index
            if not pattern.folders_only:
                self._literal[False, literal] = index
            return
        self.states += len(tokens) + 1
        self.classes += sum(
            isinstance(token, bytes) and len(token) != 1 and token is not _NOT_SLASH for token in tokens
        )
        self._tokens.append((index, pattern, tokens))

    def build(self) -> None:
        """Makes the automaton: a state for the place before each token and one for the end, pattern after pattern."""
        bits = _Bits(self.states)
        at = 0
        for index, pattern, tokens in self._tokens:
            bits.set("first", at)
            for token in tokens:
                for mask in _masks_of(token):
                    bits.set(mask, at)
                at += 1
            bits.set("for folders", at)
            if not pattern.folders_only:
                bits.set("for files", at)
            self._index[at] = index
            at += 1
        self._tokens.clear()
        self._eaten = {byte: bits.number(byte) for byte in range(256)}
        self._any, self._deep, self._skip = bits.number("any"), bits.number("deep"), bits.number("skip")
        self._stay = bits.number("star") | self._deep
        self._accept = {True: bits.number("for folders"), False: bits.number("for files")}
        self.first = self._entered(bits.number("first"), 0)

    def run(self, state: int, text: bytes) -> int:
        """Returns the states after a text."""
        for byte in text:
            if not state:
                break
            is_slash = byte == _SLASH
            eaten = self._eaten[byte] if is_slash else self._eaten[byte] | self._any
            state = self._entered((state & eaten) << 1, state & (self._deep if is_slash else self._stay))
        return state

    def found(self, state: int, text: bytes, *, is_folder: bool) -> int:
        """Returns the place of the last pattern that matches the text; -1 for none."""
        accepted = state & self._accept[is_folder]
        last = self._index[accepted.bit_length() - 1] if accepted else -1
        looked_up = self._literal.get((is_folder, text), -1), self._literal.get((is_folder, _spaced(text)), -1)
        return max(last, *looked_up)

    def _entered(self, new: int, kept: int) -> int:
        # Folders may be none before the first byte alone: behind it their slash is missing.
        state = new | ((new & self._skip) << 2) | kept
        # No other two tokens that may take nothing follow one another.
        return state | ((state & self._stay) << 1)


class _Bits:
    """Numbers that are made bit by bit."""

    def __init__(self, size: int) -> None:
        self._size = size // 8 + 1
        self._masks: dict[str | int, bytearray] = {}

    def set(self, mask: str | int, bit: int) -> None:
        if mask not in self._masks:
            self._masks[mask] = bytearray(self._size)
        self._masks[mask][bit >> 3] |= 1 << (bit & 7)

    def number(self, mask: str | int) -> int:
        return int.from_bytes(self._masks.get(mask, b""), "little")


def _literal(tokens: Sequence[_Token]) -> bytes | None:
    """Returns what to look up in place of matching; None if only matching can tell.

    Git LFS writes `[[:space:]]` for each space of a path: there may be thousands of such lines.
    """
    parts = [_ANY_SPACE if token == _SPACE else token for token in tokens]
    found = b"".join(part for part in parts if isinstance(part, bytes) and len(part) == 1)
    is_literal = len(found) == len(parts)
    return found if is_literal and (_ANY_SPACE not in found or found == _spaced(found)) else None


def _spaced(text: bytes) -> bytes:
    return text.translate(_SPACED)


def _masks_of(token: _Token) -> Sequence[str | int]:
    if token is _Loop.STAR:
        return ("star",)
    if isinstance(token, _Loop):
        return ("deep", "skip") if token is _Loop.FOLDERS else ("deep",)
    return ("any",) if token is _NOT_SLASH else token


def _tokens(text: bytes, start: int, *, is_path: bool) -> list[_Token] | None:
    """Returns the tokens of a pattern from `start` on; None if it can match nothing."""
    found: list[_Token] = []
    at = start
    while at < len(text):
        if text[at] == _BACKSLASH:
            if at + 1 == len(text):
                return None
            found.append(text[at + 1 : at + 2])
            at += 2
        elif text[at] == ord("*"):
            stars = _STARS.match(text, at)
            end = stars.end() if stars else at + 1
            is_whole = end - at > 1 and (at == start or text[at - 1] == _SLASH)
            if is_path and is_whole and text[end : end + 1] == b"/":
                # Twice in a row they say no more than once.
                if found[-2:] != [_Loop.FOLDERS, b"/"]:
                    found += [_Loop.FOLDERS, b"/"]
                at = end + 1
            else:
                is_deep = is_path and is_whole and (end == len(text) or text[end : end + 2] == b"\\/")
                found.append(_Loop.DEEP if is_deep else _Loop.STAR)
                at = end
        elif text[at] == ord("["):
            members = _Class(text, at + 1)
            if members.end is None:
                return None
            found.append(members.accepted)
            at = members.end
        else:
            found.append(_NOT_SLASH if text[at] == ord("?") else text[at : at + 1])
            at += 1
    return found


class _Class:
    """A class such as `[a-z]`.

    Attributes:
        accepted: The bytes in it; a slash is in none.
        end: Where the pattern goes on; None if the class has no end.
    """

    def __init__(self, text: bytes, at: int) -> None:
        self._text = text
        self._members: set[int] = set()
        negated = text[at : at + 1] in (b"!", b"^") and at < len(text)
        self.end = self._read(at + negated)
        self.accepted = bytes(byte for byte in _NOT_SLASH if (byte in self._members) != negated)

    def _read(self, at: int) -> int | None:
        text, before, is_first = self._text, 0, True
        while at < len(text) and (is_first or text[at] != ord("]")):
            is_first, byte = False, text[at]
            if byte == ord("-") and before and text[at + 1 : at + 2] not in (b"", b"]"):
                at += 1
                at += text[at] == _BACKSLASH
                if at == len(text):
                    return None
                self._members.update(range(before, text[at] + 1))
                before = 0
            elif text[at : at + 2] == b"[:":
                end = text.find(b"]", at + 2)
                if end < 0:
                    return None
                if end > at + 2 and text[end - 1] == ord(":"):
                    name = text[at + 2 : end - 1]
                    if name not in _CLASSES:
                        return None
                    self._members.update(_CLASSES[name])
                    at, before = end, 0
                else:
                    self._members.add(byte)
                    before = byte
            else:
                at += byte == _BACKSLASH
                if at == len(text):
                    return None
                before = text[at]
                self._members.add(before)
            at += 1
        return at + 1 if at < len(text) else None
