"""What changed between two releases of a repository, as one document."""

from typing import Literal

from pydantic import JsonValue

from hubtune.card.diff import CardDiff, Change
from hubtune.pipeline.releasing.noise import Verdict
from hubtune.records.base import Record
from hubtune.records.pins import Commit, Pin

Order = Literal["forward", "backward", "same", "unknown"]


class ComparedRelease(Record):
    """One side; `tag` is what its manifest names, `requested` what was asked for."""

    requested: str
    commit: Commit
    tag: str
    artifact: str
    hubtune: str


class SettingChange(Record):
    """One field of the config, defaults written out; null where a side does not set it."""

    key: str
    before: JsonValue
    after: JsonValue


class PinChange(Record):
    """One input that was added, left out, or pinned to another commit."""

    kind: Literal["base", "data"]
    repo: str
    before: Pin | None
    after: Pin | None


class MeasureChange(Record):
    """One measure of both releases, also where it did not change; null where a side lacks it.

    Attributes:
        split: The rows that it was taken on.
        before: The value of release A's model; `before_base` that of its base model, and `before_interval` the 95 %
            interval of their difference.
        after: The same of release B.
        difference: `after - before`; null where the two cannot be compared.
        interval: The 95 % interval of `difference`; null where the records do not tell it.
        verdict: Whether the difference is more than noise.
        reason: What the verdict rests on.
    """

    name: str
    split: str
    before: float | None
    before_base: float | None
    before_interval: tuple[float, float] | None
    before_n: int | None
    after: float | None
    after_base: float | None
    after_interval: tuple[float, float] | None
    after_n: int | None
    difference: float | None
    interval: tuple[float, float] | None
    verdict: Verdict
    reason: str


class LicenseSide(Record):
    """What a release states, and what its inputs ask for, by the licence table of this version of hubtune."""

    verdict: Literal["allowed", "duties", "refused"]
    license: str | None
    license_name: str | None
    license_link: str | None


class LicenseChange(Record):
    """The licences of both sides, and the duties that only one of them has."""

    before: LicenseSide
    after: LicenseSide
    duties_added: list[str]
    duties_removed: list[str]


class FileChange(Record):
    """One file by its sha256; null where a side lacks it. The manifest itself, which always differs, is left out."""

    path: str
    change: Change
    before: str | None
    after: str | None


class EnvironmentChange(Record):
    """A version or a device of a stage; null where a side does not have it."""

    stage: Literal["training", "evaluation"]
    name: str
    before: str | None
    after: str | None


class ReleaseDiff(Record):
    """What changed from release `a` to release `b`.

    Attributes:
        order: Whether `b` is the later version of the two.
        settings: Fields of the config, but for the tag.
        card: What changed on the card; null where it cannot be compared, which `card_problem` explains.
    """

    repo: str
    a: ComparedRelease
    b: ComparedRelease
    order: Order
    settings: list[SettingChange]
    pins: list[PinChange]
    measures: list[MeasureChange]
    licenses: LicenseChange
    files: list[FileChange]
    environment: list[EnvironmentChange]
    card: CardDiff | None
    card_problem: str | None
