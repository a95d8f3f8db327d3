"""Which part of the version a release should raise, from what changed since the one before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT
from hubtune.pipeline.published import PublishedRelease
from hubtune.pipeline.releasing.differences import pin_changes, setting_changes
from hubtune.pipeline.releasing.record import PinChange, SettingChange
from hubtune.pipeline.releasing.versions import BUMPS, Bump

# A branch or a tag that is asked for is no change of the input: its pin says which commit that meant.
_ASKED = ".revision"


@dataclass(frozen=True)
class Suggestion:
    """The smallest fitting bump, and the changes that ask for it, a clause each."""

    bump: Bump
    reasons: tuple[str, ...]


def suggest_bump(before: PublishedRelease, after: PublishedRelease) -> Suggestion:
    """Suggests how to raise the version.

    Another base model, other data or another kind of artifact is a major change: the release stands on something else,
    or is loaded in another way. Another way of training or measuring is a minor one, and so are other weights from the
    same settings. What is left, the card, the licence and how it is published, is a patch.
    """
    found = list(_changes(before, after))
    if not any(bump != "patch" for bump, _ in found) and before.training.files != after.training.files:
        found.append(("minor", "the weights differ, with the same inputs and settings"))
    bump: Bump = max((bump for bump, _ in found), key=BUMPS.index, default="patch")
    reasons = [reason for one, reason in found if one == bump]
    return Suggestion(bump, tuple(dict.fromkeys(reasons)) or ("no input and no setting changed",))


def smaller(bump: Bump, than: Bump) -> bool:
    """Whether a bump says that less changed than another."""
    return BUMPS.index(bump) < BUMPS.index(than)


def _changes(before: PublishedRelease, after: PublishedRelease) -> Iterator[tuple[Bump, str]]:
    for pin in pin_changes(before.pins, after.pins):
        moved = pin.before is None or pin.after is None or pin.before.commit != pin.after.commit
        yield "major" if moved else "patch", _pin(pin)
    if before.manifest.artifact != after.manifest.artifact:
        yield "major", f"the artifact is {after.manifest.artifact}, and was {before.manifest.artifact}"
    for change in setting_changes(before.config, after.config):
        yield _weight(change), _setting(change)


def _weight(change: SettingChange) -> Bump:
    section = change.key.partition(".")[0].partition("[")[0]
    if section in ("base", "data"):
        return "patch" if change.key.endswith(_ASKED) else "major"
    return "minor" if section in ("train", "evaluate") else "patch"


def _pin(change: PinChange) -> str:
    what = f"{'base model' if change.kind == 'base' else 'data set'} {change.repo}"
    if change.before is None or change.after is None:
        return f"the {what} is {'new' if change.before is None else 'gone'}"
    if change.before.commit == change.after.commit:
        return f"the {what} states another licence or access"
    return f"the {what} moved from {change.before.commit[:SHORT_COMMIT]} to {change.after.commit[:SHORT_COMMIT]}"


def _setting(change: SettingChange) -> str:
    shown: Sequence[object] = (change.before, change.after)
    if any(isinstance(value, str) and len(value) > 60 for value in shown):
        return f"{change.key} changed"
    first, second = ("not set" if value is None else value for value in shown)
    return f"{change.key}: {first} -> {second}"
