"""All detectors of personal data and secrets behind one call."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hubtune.config.data import PERSONAL_KINDS, PersonalKind
from hubtune.data.screening.contacts import find_addresses, find_emails, find_phones
from hubtune.data.screening.payment import find_cards, find_ibans
from hubtune.data.screening.secrets import find_secrets
from hubtune.data.screening.spans import Span, apart, redact

# A run of digits is one thing only: what has a check digit or a form of its own is not a telephone number too.
_YIELDS_TO: dict[PersonalKind, tuple[PersonalKind, ...]] = {
    "phone": ("iban", "card_number", "ip_address", "secret"),
    "card_number": ("iban",),
}
_ROUNDS = 8


@dataclass(frozen=True)
class Detectors:
    """Finds personal data and secrets of every kind.

    Attributes:
        finders: What finds each kind, in the order in which they run.
    """

    finders: Mapping[PersonalKind, Callable[[str], Iterable[Span]]]

    @classmethod
    def make(cls, phone_regions: Sequence[str] = ()) -> "Detectors":
        """Returns the detectors; national telephone numbers are searched for in these regions."""
        return cls(
            {
                "email": find_emails,
                "iban": find_ibans,
                "card_number": find_cards,
                "ip_address": find_addresses,
                "secret": find_secrets,
                "phone": partial(find_phones, regions=tuple(phone_regions)),
            }
        )

    def find(self, text: str) -> list[Span]:
        """Returns all findings in the order of their places. Those of one kind do not overlap."""
        found: dict[PersonalKind, list[Span]] = {}
        for kind, finder in self.finders.items():
            stronger = [span for other in _YIELDS_TO.get(kind, ()) for span in found.get(other, ())]
            spans = apart(finder(text))
            found[kind] = [span for span in spans if not any(span.overlaps(other) for other in stronger)]
        return sorted(span for spans in found.values() for span in spans)

    def redact(self, text: str, kinds: Iterable[PersonalKind]) -> str:
        """Returns the text with a placeholder for each finding of these kinds.

        What is left is searched again: with one value gone, another may come to light.
        """
        wanted = frozenset(kinds)
        for _ in range(_ROUNDS):
            spans = [span for span in self.find(text) if span.kind in wanted]
            if not spans:
                break
            text = redact(text, spans)
        return text


def by_kind(spans: Iterable[Span]) -> dict[PersonalKind, int]:
    """Returns the number of findings of each kind, kinds without any left out."""
    counts: dict[PersonalKind, int] = dict.fromkeys(PERSONAL_KINDS, 0)
    for span in spans:
        counts[span.kind] += 1
    return {kind: count for kind, count in counts.items() if count}
