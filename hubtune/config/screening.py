"""The part of the config about screening: what is looked for in the rows, and what happens to those that hold it."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

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


Region = Annotated[str, AfterValidator(_check_region)]


class ScreenConfig(Section):
    """What to do with the rows where something is found: report, redact, drop or refuse.

    The defaults and their reasons:

    - A secret stops the run: it is almost never meant to be there, it can be abused, and has to be revoked where
      it came from, which no tool can do.
    - Card numbers and IBANs are redacted: a model needs none, and few other numbers pass their check digits.
    - E-mail addresses, telephone numbers and IP addresses are reported: many are published on purpose, in licences,
      signatures and manuals, so what to do depends on the data. The card tells how many there are.
    - Duplicates are reported: some are frequent on purpose. Near duplicates too: what is near is a matter of degree.
    - Contamination drops the rows to train on, never the held-out ones: the measure stays what it was, and training
      loses a few rows. Left in, they would make the tuned model look better than it is.

    Attributes:
        duplicates: Rows with the text of an earlier row, but for case, punctuation and spacing.
        near_duplicates: Rows that share most runs of five words with an earlier row.
        contamination: Rows to train on that repeat a held-out row or a run of thirteen words of one.
        phone_regions: Whose national telephone numbers are looked for, besides international ones.
    """

    duplicates: CopyPolicy = "report"
    near_duplicates: CopyPolicy = "report"
    contamination: CopyPolicy = "drop"
    email: PersonalPolicy = "report"
    phone: PersonalPolicy = "report"
    card_number: PersonalPolicy = "redact"
    iban: PersonalPolicy = "redact"
    ip_address: PersonalPolicy = "report"
    secret: PersonalPolicy = "refuse"  # noqa: S105 - a policy
    phone_regions: list[Region] = Field(default_factory=lambda: ["US", "GB"])

    def copies(self, kind: CopyKind) -> CopyPolicy:
        """Returns what to do with rows that repeat others in this way."""
        policy: CopyPolicy = getattr(self, kind)
        return policy

    def personal(self, kind: PersonalKind) -> PersonalPolicy:
        """Returns what to do with rows that hold personal data or a secret of this kind."""
        policy: PersonalPolicy = getattr(self, kind)
        return policy
