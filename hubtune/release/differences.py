"""Compares two releases by their published records, and suggests the version that the changes require.

Config, pins, measures, licenses, files, environment and card are compared by their records, not by their text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from hubtune.card.diff import CardDiff, Change, diff_cards, leaves
from hubtune.card.inputs import SHORT_COMMIT
from hubtune.card.lint import CardSource
from hubtune.config.schema import TuneConfig
from hubtune.documents import show_path
from hubtune.errors import CardError
from hubtune.metadata.versions import BUMPS, Bump, version_of
from hubtune.pipeline.licensing import decide_release
from hubtune.pipeline.published import PublishedRelease, read_release
from hubtune.records.base import Pin, PinSet
from hubtune.records.data import DataRecord, SourceRecord
from hubtune.records.results import EARLIER_HELD_OUT, EnvironmentRecord, Measure
from hubtune.release import diff_record

# It names the release, so it always differs.
_NAME = "publish.tag"
# A branch or a tag that is asked for is no change of the input: its pin says which commit that meant.
_ASKED = ".revision"


def diff_releases(repo: str, a: str, b: str) -> diff_record.ReleaseDiff:
    """Reads two releases of a repository and compares them.

    Args:
        repo: A model repository.
        a: The tag, branch or commit of the earlier release.
        b: The tag, branch or commit of the later release.

    Raises:
        HubError: The repository or a revision cannot be read.
        RecordError: One of them is not a release whose records can be read.
    """
    before = read_release(repo, a)
    return compare_releases(before, before if a == b else read_release(repo, b), a, b)


def compare_releases(before: PublishedRelease, after: PublishedRelease, a: str, b: str) -> diff_record.ReleaseDiff:
    """Compares two releases that were read; `a` and `b` are the requested revisions."""
    card, problem = _card(before, after)
    return diff_record.ReleaseDiff(
        repo=after.repo,
        a=_side(before, a),
        b=_side(after, b),
        order=_order(before, after, a, b),
        settings=setting_changes(before.config, after.config),
        pins=pin_changes(before.pins, after.pins),
        measures=list(_measures(before, after)),
        licenses=_licenses(before, after),
        files=list(_files(before.manifest.files, after.manifest.files)),
        environment=[
            *_environment("training", before.training.environment, after.training.environment),
            *_environment("evaluation", before.evaluation.environment, after.evaluation.environment),
        ],
        card=card,
        card_problem=problem,
    )


def setting_changes(before: TuneConfig, after: TuneConfig) -> list[diff_record.SettingChange]:
    """Returns the fields whose values differ, except for the tag, in the order of the config."""
    first, second = _settings(before), _settings(after)
    return [
        diff_record.SettingChange(key=key, before=first.get(key), after=second.get(key))
        for key in dict.fromkeys([*first, *second])
        if key != _NAME and first.get(key) != second.get(key)
    ]


def pin_changes(before: PinSet, after: PinSet) -> list[diff_record.PinChange]:
    """Returns the inputs that differ in repository, commit or license; the requested revision does not count."""
    first, second = _pins(before), _pins(after)
    return [
        diff_record.PinChange(kind="base" if key[0] == "model" else "data", repo=key[1], before=old, after=new)
        for key in dict.fromkeys([*first, *second])
        if _identity(old := first.get(key)) != _identity(new := second.get(key))
    ]


def _settings(config: TuneConfig) -> dict[str, JsonValue]:
    return {show_path(path): value for path, value in leaves(config.model_dump(mode="json", exclude_none=True))}


def _pins(pins: PinSet) -> dict[tuple[str, str, int], Pin]:
    """Returns the pins by type, repository and, for one that is used several times, number."""
    found: dict[tuple[str, str, int], Pin] = {}
    for pin in pins.all():
        number = sum(key[:2] == (pin.type, pin.repo) for key in found)
        found[(pin.type, pin.repo, number)] = pin
    return found


def _identity(pin: Pin | None) -> tuple[object, ...] | None:
    return None if pin is None else (pin.commit, pin.license, pin.gated)


def _side(release: PublishedRelease, requested: str) -> diff_record.ComparedRelease:
    return diff_record.ComparedRelease(
        requested=requested,
        commit=release.commit,
        tag=release.manifest.tag,
        artifact=release.manifest.artifact,
        hubtune=release.manifest.hubtune,
    )


def _order(before: PublishedRelease, after: PublishedRelease, a: str, b: str) -> diff_record.Order:
    if before.commit == after.commit:
        return "same"
    first = version_of(a) or version_of(before.manifest.tag)
    second = version_of(b) or version_of(after.manifest.tag)
    if first is None or second is None or first == second:
        return "unknown"
    return "forward" if first < second else "backward"


def _measures(before: PublishedRelease, after: PublishedRelease) -> Iterator[diff_record.MeasureChange]:
    first, second = _by_name(before), _by_name(after)
    same_rows = rows_of(before.data, before.config) == rows_of(after.data, after.config)
    same_earlier = earlier_rows_of(before.data, before.config) == earlier_rows_of(after.data, after.config)
    for key in dict.fromkeys([*first, *second]):
        old, new = first.get(key), second.get(key)
        found = diff_record.difference(old, new, same_rows=same_earlier if key[1] == EARLIER_HELD_OUT else same_rows)
        yield diff_record.MeasureChange(
            name=key[0],
            split=key[1],
            before=old.tuned if old else None,
            before_base=old.base if old else None,
            before_interval=old.interval if old else None,
            before_n=old.n if old else None,
            after=new.tuned if new else None,
            after_base=new.base if new else None,
            after_interval=new.interval if new else None,
            after_n=new.n if new else None,
            difference=found.value,
            interval=found.interval,
            verdict=found.verdict,
            reason=found.reason,
        )


def _by_name(release: PublishedRelease) -> dict[tuple[str, str], Measure]:
    return {(measure.name, measure.split): measure for measure in release.evaluation.measures}


def rows_of(data: DataRecord, config: TuneConfig) -> tuple[object, ...]:
    """Returns everything that decides which rows were held out, and their length."""
    settings = config.evaluate
    rows = (data.held_out, data.split_method, data.max_length)
    return (_read(data.sources), rows, settings.holdout, settings.seed, settings.max_items)


def earlier_rows_of(data: DataRecord, config: TuneConfig) -> tuple[object, ...] | None:
    """Returns the same for an earlier task; None if there is none."""
    earlier, settings = data.earlier, config.evaluate
    if earlier is None or config.earlier is None:
        return None
    rows = (earlier.held_out, earlier.split_method, earlier.left_out, data.max_length)
    return (_read(earlier.sources), rows, config.earlier.holdout, settings.seed, settings.max_items)


def _read(sources: Sequence[SourceRecord]) -> list[tuple[object, ...]]:
    return [(source.repo, source.name, source.split, source.template, source.fingerprint) for source in sources]


def _licenses(before: PublishedRelease, after: PublishedRelease) -> diff_record.LicenseChange:
    sides, duties = [], []
    for release in (before, after):
        decision = decide_release(release.config, release.licenses.inputs)
        duties.append(list(dict.fromkeys(duty.text for duty in decision.duties)))
        sides.append(
            diff_record.LicenseSide(
                verdict=decision.verdict,
                license=decision.license,
                license_name=decision.license_name,
                license_link=decision.license_link,
            )
        )
    return diff_record.LicenseChange(
        before=sides[0],
        after=sides[1],
        duties_added=[duty for duty in duties[1] if duty not in duties[0]],
        duties_removed=[duty for duty in duties[0] if duty not in duties[1]],
    )


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[diff_record.FileChange]:
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old != new:
            change: Change = "added" if old is None else "removed" if new is None else "changed"
            yield diff_record.FileChange(path=path, change=change, before=old, after=new)


def _environment(
    stage: str, before: EnvironmentRecord, after: EnvironmentRecord
) -> Iterator[diff_record.EnvironmentChange]:
    first, second = _versions(before), _versions(after)
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            yield diff_record.EnvironmentChange.model_validate(
                {"stage": stage, "name": name, "before": first.get(name), "after": second.get(name)}
            )


def _versions(environment: EnvironmentRecord) -> dict[str, str]:
    places = {"python": environment.python, "platform": environment.platform, "device": environment.device}
    return {**places, **dict(sorted(environment.packages.items()))}


def _card(before: PublishedRelease, after: PublishedRelease) -> tuple[CardDiff | None, str | None]:
    first, second = (
        CardSource(content=release.card.encode(), kind="model", repo=release.repo, commit=release.commit)
        for release in (before, after)
    )
    try:
        return diff_cards(first, second), None
    except CardError as error:
        return None, error.message


@dataclass(frozen=True)
class Suggestion:
    """The smallest fitting bump, and the changes that require it, one clause each."""

    bump: Bump
    reasons: tuple[str, ...]


def suggest_bump(before: PublishedRelease, after: PublishedRelease) -> Suggestion:
    """Suggests how to raise the version.

    Another base model, other data or another kind of artifact is a major change: the inputs or the way to load the
    release change. Other settings of training or evaluation are a minor change, and so are other weights from the same
    settings. Everything else (card, license, publishing) is a patch.
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


def _weight(change: diff_record.SettingChange) -> Bump:
    section = change.key.partition(".")[0].partition("[")[0]
    if section in ("base", "data"):
        return "patch" if change.key.endswith(_ASKED) else "major"
    return "minor" if section in ("train", "evaluate") else "patch"


def _pin(change: diff_record.PinChange) -> str:
    what = f"{'base model' if change.kind == 'base' else 'dataset'} {change.repo}"
    if change.before is None or change.after is None:
        return f"the {what} is {'new' if change.before is None else 'gone'}"
    if change.before.commit == change.after.commit:
        return f"the {what} states another license or access"
    return f"the {what} moved from {change.before.commit[:SHORT_COMMIT]} to {change.after.commit[:SHORT_COMMIT]}"


def _setting(change: diff_record.SettingChange) -> str:
    shown: Sequence[object] = (change.before, change.after)
    if any(isinstance(value, str) and len(value) > 60 for value in shown):
        return f"{change.key} changed"
    first, second = ("not set" if value is None else value for value in shown)
    return f"{change.key}: {first} -> {second}"
