"""What changed between two releases, as one document; and the inputs of a card, from a published release."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from hubtune import __version__
from hubtune.card.diff import CardDiff, Change
from hubtune.card.inputs import CardInputs, ReleaseTarget
from hubtune.config.schema import TuneConfig
from hubtune.pipeline.licensing import decide_release
from hubtune.pipeline.published import PublishedRelease
from hubtune.records.base import Commit, Pin, Record
from hubtune.records.results import Measure

Verdict = Literal["significant", "not significant", "equal", "not comparable", "unknown"]
Order = Literal["forward", "backward", "same", "unknown"]


@dataclass(frozen=True)
class Difference:
    """How far `after` differs from `before`, and whether the difference is significant.

    Attributes:
        value: `after - before`, or None if the two are not comparable.
        interval: The 95% interval of `value`, or None if it cannot be computed.
    """

    value: float | None
    interval: tuple[float, float] | None
    verdict: Verdict
    reason: str


def difference(before: Measure | None, after: Measure | None, *, same_rows: bool) -> Difference:
    """Compares the tuned models' values of one measure.

    The records have the interval of each model's difference from its base model. If both base models have the same
    value, the difference of the two differences is that of the values. Its interval follows from the two intervals by
    the method of variance estimates recovery (Zou and Donner, "Construction of confidence intervals about effect
    measures", Statistics in Medicine 27, 2008). The method assumes that the two are independent. Two models that were
    measured on the same rows are usually correlated, so the interval is too wide rather than too narrow.

    Args:
        before: The measure of the first release; None if it has none of that name on that split.
        after: The measure of the second release; None in the same case.
        same_rows: Whether both were measured on the same rows in the same way.
    """
    if before is None or after is None or before.tuned is None or after.tuned is None:
        return Difference(None, None, "not comparable", "only one of the releases has a value")
    if not same_rows:
        return Difference(None, None, "not comparable", "the releases were not measured on the same rows")
    value = after.tuned - before.tuned
    if before.status != "measured" or after.status != "measured":
        return Difference(value, None, "unknown", f"the values are {before.status} and {after.status}")
    if value == 0:
        return Difference(value, None, "equal", "the values are the same")
    if before.interval is None or after.interval is None or before.base is None or after.base is None:
        return Difference(value, None, "unknown", "one of the values has no interval")
    if not math.isclose(before.base, after.base, rel_tol=1e-3):
        return Difference(value, None, "unknown", "the intervals are against base models with other values")
    low, high = _recovered(before.tuned - before.base, before.interval, after.tuned - after.base, after.interval)
    inside = low <= 0 <= high
    words = "includes" if inside else "excludes"
    return Difference(
        value,
        (low, high),
        "not significant" if inside else "significant",
        f"the 95% interval of the difference {words} zero",
    )


def _recovered(
    first: float, first_interval: tuple[float, float], second: float, second_interval: tuple[float, float]
) -> tuple[float, float]:
    """Returns the interval of `second - first`, from an interval of each."""
    low = second - first - math.hypot(second - second_interval[0], first_interval[1] - first)
    high = second - first + math.hypot(second_interval[1] - second, first - first_interval[0])
    return low, high


class ComparedRelease(Record):
    """One side; `tag` is what its manifest names, `requested` what was asked for."""

    requested: str
    commit: Commit
    tag: str
    artifact: str
    hubtune: str


class SettingChange(Record):
    """One field of the config, with defaults written out; null on a side that does not set it."""

    key: str
    before: JsonValue
    after: JsonValue


class PinChange(Record):
    """One input that was added, removed, or pinned to another commit."""

    kind: Literal["base", "data"]
    repo: str
    before: Pin | None
    after: Pin | None


class MeasureChange(Record):
    """One measure of both releases, even if it did not change; null on a side that lacks it.

    Attributes:
        split: The rows that it was measured on.
        before: The value of release A's model; `before_base` that of its base model, and `before_interval` the 95%
            interval of their difference.
        after: The same of release B.
        difference: `after - before`; null if the two are not comparable.
        interval: The 95% interval of `difference`; null if the records do not give it.
        verdict: Whether the difference is significant.
        reason: The reason for the verdict.
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
    """The license that a release states, and what its inputs require by this version's license table."""

    verdict: Literal["allowed", "duties", "refused"]
    license: str | None
    license_name: str | None
    license_link: str | None


class LicenseChange(Record):
    """The licenses of both sides, and the duties that only one of them has."""

    before: LicenseSide
    after: LicenseSide
    duties_added: list[str]
    duties_removed: list[str]


class FileChange(Record):
    """One file by its sha256; null on a side that lacks it. The manifest always differs, so it is not listed."""

    path: str
    change: Change
    before: str | None
    after: str | None


class EnvironmentChange(Record):
    """A version or a device of a stage; null on a side that lacks it."""

    stage: Literal["training", "evaluation"]
    name: str
    before: str | None
    after: str | None


class ReleaseDiff(Record):
    """What changed from release `a` to release `b`.

    Attributes:
        order: Whether `b` is the later version of the two.
        settings: Fields of the config, except the tag.
        card: What changed on the card; null if the cards cannot be compared, for the reason in `card_problem`.
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


def card_inputs(release: PublishedRelease, config: TuneConfig, tag: str) -> CardInputs:
    """Returns what the card of the release is rendered from.

    Args:
        release: What was published.
        config: The release's config, or a copy of it with another tag.
        tag: The revision that the card's examples load.
    """
    return CardInputs(
        config=config,
        pins=release.pins,
        data=release.data,
        training=release.training,
        evaluation=release.evaluation,
        licenses=decide_release(config, release.licenses.inputs),
        target=ReleaseTarget.of(config.publish.model_copy(update={"repo": release.repo, "tag": tag})),
        version=__version__,
        merge=release.merge,
        ratings=release.ratings,
    )
