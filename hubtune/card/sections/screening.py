"""Screening: what was searched for in the rows before training, what was found, and what the search misses."""

from dataclasses import dataclass

from hubtune.config.data import COPY_KINDS, PERSONAL_KINDS, PersonalKind, PersonalPolicy, ScreenKind
from hubtune.records.data import FindingRecord, ScreenRecord

KIND_NAMES: dict[ScreenKind, str] = {
    "email": "E-mail addresses",
    "phone": "Telephone numbers",
    "card_number": "Card numbers",
    "iban": "IBANs",
    "ip_address": "IP addresses",
    "secret": "Tokens, keys and passwords",
    "duplicates": "Duplicates",
    "near_duplicates": "Near duplicates",
    "contamination": "Contamination",
}
"""What a reader calls each kind."""
_HOW: dict[PersonalKind, str] = {
    "email": "pattern; misses addresses that are spelled out in words",
    "phone": "libphonenumber, for {regions}; misses other national numbers, and unusual grouping of digits",
    "card_number": "issuer, length and check digit; misses unusual grouping of digits",
    "iban": "country, structure and check digits",
    "ip_address": "pattern, except local addresses and version numbers; misses addresses with brackets around a dot",
    "secret": "known formats, and values after a keyword such as password; misses passwords made of words, and values "
    "without a keyword",
}
DONE: dict[PersonalPolicy, str] = {
    "report": "kept unchanged",
    "redact": "replaced by placeholders",
    "drop": "rows dropped",
    "refuse": "the run stops",
}


@dataclass(frozen=True)
class Finding:
    """A row of the table of personal data and secrets.

    Attributes:
        done: What became of the rows; None if there were none.
        how: How it was looked for, and what that misses.
    """

    name: str
    rows: int
    per_thousand: float
    done: str | None
    how: str
    precision: float
    recall: float
    labelled: int


@dataclass(frozen=True)
class Screening:
    """The part of `sections/privacy.md.j2` about screening for personal data and secrets."""

    rows: int
    findings: list[Finding]


@dataclass(frozen=True)
class Repeat:
    """Rows that repeat others in one way.

    Attributes:
        rows: How many; for contamination the held-out ones.
        hits: The same; for contamination those to train on that repeat held-out ones.
        dropped: How many were left out for it.
    """

    rows: int
    hits: int
    dropped: int


@dataclass(frozen=True)
class Repeats:
    """The part of `sections/training_data.md.j2` about repeated rows."""

    duplicates: Repeat
    near_duplicates: Repeat
    contamination: Repeat


def personal_data(record: ScreenRecord) -> Screening:
    """Builds the context about personal data and secrets."""
    regions = record.phone_regions
    searched = (
        f"international numbers and national numbers of {', '.join(regions)}" if regions else "international numbers"
    )
    found = {finding.kind: finding for finding in record.findings}
    return Screening(
        rows=record.rows,
        findings=[
            Finding(
                name=KIND_NAMES[kind],
                rows=found[kind].rows,
                per_thousand=found[kind].per_thousand,
                done=DONE[found[kind].policy] if found[kind].rows else None,
                how=_HOW[kind].replace("{regions}", searched),
                precision=found[kind].precision or 0.0,
                recall=found[kind].recall or 0.0,
                labelled=found[kind].labelled or 0,
            )
            for kind in PERSONAL_KINDS
            if kind in found
        ],
    )


def repeats(record: ScreenRecord) -> Repeats:
    """Builds the context about rows that repeat others."""
    found = {finding.kind: finding for finding in record.findings}
    return Repeats(**{kind: _repeat(found[kind]) for kind in COPY_KINDS})


def _repeat(found: FindingRecord) -> Repeat:
    return Repeat(rows=found.rows, hits=found.hits, dropped=found.dropped)
