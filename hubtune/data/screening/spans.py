"""Spans: where in a text something was found, and how it is redacted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubtune.config.data import PersonalKind

WORD = r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""A letter, digit or underscore, except in scripts that are written without spaces: there, a value begins and ends
within what is one word to a pattern."""
PLACEHOLDERS: dict[PersonalKind, str] = {
    "email": "[EMAIL]",
    "phone": "[PHONE]",
    "card_number": "[CARD_NUMBER]",
    "iban": "[IBAN]",
    "ip_address": "[IP_ADDRESS]",
    "secret": "[SECRET]",
}
"""What is in a text in place of a value that was taken out."""


@dataclass(frozen=True, order=True)
class Span:
    """A finding: characters `start` to before `end` of a text. It does not hold the value."""

    start: int
    end: int
    kind: PersonalKind

    def overlaps(self, other: "Span") -> bool:
        """Whether both cover a character."""
        return self.start < other.end and other.start < self.end


def apart(spans: Iterable[Span]) -> list[Span]:
    """Returns spans of one kind in order, with those that overlap joined."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start < joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end), span.kind)
        else:
            joined.append(span)
    return joined


def redact(text: str, spans: Sequence[Span]) -> str:
    """Returns the text with a placeholder for each span, such as `[EMAIL]`.

    If spans of several kinds overlap, all that they cover is replaced by the placeholder of the longest.
    """
    pieces: list[str] = []
    at = 0
    for group in _overlapping(spans):
        longest = max(group, key=lambda span: span.end - span.start)
        pieces += [text[at : group[0].start], PLACEHOLDERS[longest.kind]]
        at = max(span.end for span in group)
    return "".join([*pieces, text[at:]])


def _overlapping(spans: Sequence[Span]) -> list[list[Span]]:
    groups: list[list[Span]] = []
    end = 0
    for span in sorted(spans):
        if groups and span.start < end:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span.end)
    return groups
