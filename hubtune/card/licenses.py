"""Which licence the release states, and where it comes from.

Whether the inputs' licences allow that licence is not decided here.
"""

from dataclasses import dataclass
from typing import Literal

from hubtune.config.license_ids import LICENSE_IDS
from hubtune.config.schema import TuneConfig
from hubtune.records.pins import PinSet

Source = Literal["author", "base", "base-unlisted", "base-several", "base-silent"]


@dataclass(frozen=True)
class LicenseChoice:
    """The release's licence, and where it comes from.

    Attributes:
        id: One of `LICENSE_IDS`.
        source: The author's config; the base model's statement; or why that could not be taken over as it stands.
    """

    id: str
    source: Source


def choose_license(config: TuneConfig, pins: PinSet) -> LicenseChoice:
    """Returns the release's licence with its source.

    `auto` takes the base model's. A base that states none gives `unknown`: a licence that nobody granted must not be
    made up. A base that states several, or one that the Hub does not list, gives `other`.
    """
    wanted = config.card.license
    if wanted != "auto":
        return LicenseChoice(wanted, "author")
    stated = {entry.strip().lower() for entry in stated_licenses(pins.base.license)}
    if not stated:
        return LicenseChoice("unknown", "base-silent")
    if len(stated) > 1:
        return LicenseChoice("other", "base-several")
    only = stated.pop()
    return LicenseChoice(only, "base") if only in LICENSE_IDS else LicenseChoice("other", "base-unlisted")


def stated_licenses(license: str | list[str] | None) -> list[str]:
    """Returns a pin's licence as a list: empty where the repository states none."""
    entries = [license] if isinstance(license, str) else license or []
    return [entry for entry in entries if entry.strip()]
