"""The part of the config about screening: what is looked for in the rows, and what happens to those that hold it."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from hubtune.config.fields import text_form
from hubtune.config.section import Section

PersonalKind = Literal["email", "phone", "card_number", "iban", "ip_address", "secret"]
CopyKind = Literal["duplicates", "near_duplicates", "contamination"]
ScreenKind = PersonalKind | CopyKind

PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
COPY_KINDS: tuple[CopyKind, ...] = get_args(CopyKind)

CopyPolicy = Literal["report", "drop", "refuse"]
PersonalPolicy = Literal["report", "redact", "drop", "refuse"]


def _check_region(value: str) -> str:
    if not (len(value) == 2 and value.isascii() and value.isupper()):
        raise ValueError(f"{value!r} is not a region; write the two capital letters of ISO 3166, such as US or DE")
    return value


Region = Annotated[str, AfterValidator(_check_region), text_form("country code", "DE", "^[A-Z]{2}$")]


class ScreenConfig(Section):
    """What to do with rows in which something is found: report, redact, drop or refuse."""

    duplicates: CopyPolicy = "report"
    """What to do with rows that have the text of an earlier row, ignoring case, punctuation and spacing.
    Some are frequent on purpose, so they are reported by default."""
    near_duplicates: CopyPolicy = "report"
    """What to do with rows that share four fifths of their runs of five words with an earlier row. How near is too near
    depends on the data."""
    contamination: CopyPolicy = "drop"
    """What to do with training rows that repeat a held-out row, or a run of thirteen words of one. Left in, they would
    make the tuned model look better than it is. Held-out rows always stay."""
    email: PersonalPolicy = "report"
    """What to do with rows that contain e-mail addresses. Many are published on purpose, in licences, signatures and
    manuals, so they are reported by default."""
    phone: PersonalPolicy = "report"
    """What to do with rows that contain telephone numbers."""
    card_number: PersonalPolicy = "redact"
    """What to do with rows that contain payment card numbers. A model needs none, and few other numbers pass their
    check digit."""
    iban: PersonalPolicy = "redact"
    """What to do with rows that contain bank account numbers (IBANs)."""
    ip_address: PersonalPolicy = "report"
    """What to do with rows that contain IP addresses."""
    secret: PersonalPolicy = "refuse"  # noqa: S105 - a policy
    """What to do with rows that contain tokens, keys or passwords. A secret is almost never meant to be there, and must
    be revoked at its issuer, which no tool can do for you."""
    phone_regions: list[Region] = Field(default_factory=lambda: ["US", "GB"])
    """The countries whose national telephone numbers are recognised, as two-letter codes of ISO 3166. International
    numbers are always recognised."""

    def copies(self, kind: CopyKind) -> CopyPolicy:
        """Returns what to do with rows that repeat others in this way."""
        policy: CopyPolicy = getattr(self, kind)
        return policy

    def personal(self, kind: PersonalKind) -> PersonalPolicy:
        """Returns what to do with rows that hold personal data or a secret of this kind."""
        policy: PersonalPolicy = getattr(self, kind)
        return policy
