"""Release notes for people, in Markdown. Everything that comes from a repository is escaped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from hubtune.card.diff import Change
from hubtune.card.inputs import SHORT_COMMIT
from hubtune.card.markdown import cell, code, fenced, text
from hubtune.card.sections.release import verify
from hubtune.card.snippet import usage_snippet
from hubtune.card.wording import measure, measure_name, signed, signed_percent
from hubtune.pipeline.published import PublishedRelease, read_release
from hubtune.records.base import Record
from hubtune.release.diff_record import LicenseSide, MeasureChange, PinChange, ReleaseDiff, SettingChange, card_inputs
from hubtune.release.differences import compare_releases

_NONE = "\N{EN DASH}"
_LONGEST_VALUE = 200
_VERDICTS = {
    "significant": "significant",
    "not significant": "not significant",
    "equal": "equal",
    "not comparable": "not comparable",
    "unknown": "significance unknown",
}


class ReleaseNotes(Record):
    """The notes of release `b` about what changed since `a`, and the comparison that they describe."""

    markdown: str
    changes: ReleaseDiff


@dataclass(frozen=True)
class _NotesSection:
    title: str
    lines: list[str]


def write_notes(repo: str, a: str, b: str) -> ReleaseNotes:
    """Reads two releases of a repository and writes the notes of the second.

    Raises:
        HubError: The repository or a revision cannot be read.
        RecordError: One of them is not a release whose records can be read.
    """
    before = read_release(repo, a)
    after = before if a == b else read_release(repo, b)
    changes = compare_releases(before, after, a, b)
    return ReleaseNotes(markdown=render_notes(changes, after), changes=changes)


def render_notes(changes: ReleaseDiff, after: PublishedRelease) -> str:
    """Returns the notes as Markdown. Equal arguments give equal text."""
    a, b = changes.a.requested, changes.b.requested
    name = changes.repo.rpartition("/")[2]
    parts = [
        f"# {text(f'{name} {b}')}",
        f"What changed in {code(changes.repo)} from {code(a)} to {code(b)}, according to the records of both releases.",
        *_warnings(changes),
        *_headline(changes),
    ]
    for section in _sections(changes):
        parts += [f"## {section.title}", "\n".join(section.lines)]
    inputs = card_inputs(after, after.config, b)
    parts += [
        "## How to load it",
        fenced(usage_snippet(inputs), "python"),
        "## How to verify it",
        f"This release is commit {code(changes.b.commit)}. hubtune checks every claim of the release at that commit:",
        fenced(f"hubtune verify {changes.repo}@{b} --commit {changes.b.commit}", "bash"),
        "Without hubtune: `hubtune.json` lists the SHA-256 of every other file of the release. These commands compare "
        "them:",
        fenced(verify(inputs).by_hand, "bash"),
    ]
    return "\n\n".join(parts) + "\n"


def _warnings(changes: ReleaseDiff) -> Iterator[str]:
    a, b = code(changes.a.requested), code(changes.b.requested)
    if changes.order == "same":
        yield f"{a} and {b} are the same commit, so nothing changed."
    elif changes.order == "backward":
        yield f"**{b} is an older version than {a}:** these notes describe a downgrade."
    if changes.a.artifact != changes.b.artifact:
        yield (
            f"**The kind of artifact changed:** {a} contains {_artifact(changes.a.artifact)}, and {b} contains "
            f"{_artifact(changes.b.artifact)}. The two are loaded in different ways."
        )


def _artifact(kind: str) -> str:
    return {"adapter": "an adapter", "merged": "complete weights"}.get(kind, text(kind))


def _headline(changes: ReleaseDiff) -> Iterator[str]:
    first = next((one for one in changes.measures if one.after is not None), None)
    if first is None or first.after is None or changes.order == "same":
        return
    name = f"{text(measure_name(first.name))} on {text(first.split)} rows"
    if first.before is None:
        yield f"**{name}: {measure(first.after)}**; {code(changes.a.requested)} has no value for it."
        return
    if first.difference is None:
        yield (
            f"**{name}: {measure(first.after)}**. This is {_VERDICTS[first.verdict]} with the "
            f"{measure(first.before)} of {code(changes.a.requested)}, because {text(first.reason)}."
        )
        return
    change = f" ({signed_percent((first.after - first.before) / first.before)})" if first.before else ""
    yield (
        f"**{name}: {measure(first.after)}, {measure(first.before)} before{change}**; "
        f"{_VERDICTS[first.verdict]}, because {text(first.reason)}."
    )


def _sections(changes: ReleaseDiff) -> Iterator[_NotesSection]:
    pins = [_pin(pin) for pin in changes.pins]
    settings = {
        section: list(_settings(changes.settings, section)) for section in ("base", "data", "train", "evaluate")
    }
    inputs = [*pins, *settings["base"], *settings["data"]]
    yield _NotesSection("Base model and data", inputs or ["The same base model and data, at the same commits."])
    how = [*settings["train"], *settings["evaluate"]]
    yield _NotesSection("Training and evaluation", how or ["The same settings."])
    if changes.measures:
        yield _NotesSection("Measures", _table(changes))
    yield _NotesSection("License", list(_license(changes)))
    card = [*_settings(changes.settings, "card"), *_card(changes)]
    yield _NotesSection("Model card", card or ["The same card."])
    files = [*_settings(changes.settings, "publish"), *_by_change("files", _files(changes))]
    yield _NotesSection("Files", files or ["The same files."])
    if changes.environment:
        lines = [
            f"- {one.stage}, {text(one.name)}: {_version(one.before)} → {_version(one.after)}"
            for one in changes.environment
        ]
        yield _NotesSection("Software and hardware", lines)


def _pin(pin: PinChange) -> str:
    what = f"{'Base model' if pin.kind == 'base' else 'Dataset'} {code(pin.repo)}"
    if pin.before is None or pin.after is None:
        present = pin.after or pin.before
        assert present is not None, "a change has a side"
        return f"- {what}: {'new' if pin.before is None else 'removed'} (commit {code(present.commit[:SHORT_COMMIT])})"
    if pin.before.commit != pin.after.commit:
        return f"- {what}: commit {code(pin.before.commit[:SHORT_COMMIT])} → {code(pin.after.commit[:SHORT_COMMIT])}"
    return f"- {what}: its stated license or its access changed"


def _settings(settings: Sequence[SettingChange], section: str) -> Iterator[str]:
    for one in settings:
        if one.key.partition(".")[0].partition("[")[0] == section:
            yield f"- {code(one.key)}: {_value(one.before)} → {_value(one.after)}"


def _version(value: str | None) -> str:
    return "not used" if value is None else _value(value)


def _value(value: JsonValue) -> str:
    if value is None:
        return "not set"
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return code(shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}…")


def _table(changes: ReleaseDiff) -> list[str]:
    a, b = cell(changes.a.requested), cell(changes.b.requested)
    lines = [
        f"| Measure | Rows | {a} | {b} | Difference | 95% interval | |",
        "|---|---|---:|---:|---:|---:|---|",
        *(_row(one) for one in changes.measures),
    ]
    bases = [_bases(one) for one in changes.measures if one.after_base is not None]
    return [*lines, "", *bases] if bases else lines


def _row(one: MeasureChange) -> str:
    rows = one.after_n if one.after_n is not None else one.before_n
    shown = [
        text(measure_name(one.name)),
        f"{rows:,} {text(one.split)}",
        _NONE if one.before is None else measure(one.before),
        _NONE if one.after is None else measure(one.after),
        _NONE if one.difference is None or one.after is None else signed(one.difference, one.after),
        _NONE if one.interval is None else " to ".join(signed(end, one.after or 1) for end in one.interval),
        _VERDICTS[one.verdict],
    ]
    return f"| {' | '.join(shown)} |"


def _bases(one: MeasureChange) -> str:
    assert one.after_base is not None, "chosen by it"
    value = f"{text(measure_name(one.name))} of the base model: {measure(one.after_base)}"
    before = one.before_base
    return f"{value}." if before is None or before == one.after_base else f"{value}, {measure(before)} before."


def _license(changes: ReleaseDiff) -> Iterator[str]:
    before, after = changes.licenses.before, changes.licenses.after
    if before == after:
        yield f"The same: {_stated(after)}."
    else:
        yield f"{_stated(before)} → {_stated(after)}"
    if changes.licenses.duties_added or changes.licenses.duties_removed:
        yield ""
    yield from (f"- New duty: {text(duty)}" for duty in changes.licenses.duties_added)
    yield from (f"- No longer a duty: {text(duty)}" for duty in changes.licenses.duties_removed)


def _stated(side: LicenseSide) -> str:
    if side.license is None:
        return "none: the inputs do not allow a release"
    return f"{code(side.license)}{f' ({text(side.license_name)})' if side.license_name else ''}"


def _card(changes: ReleaseDiff) -> Iterator[str]:
    if changes.card is None:
        yield f"Not compared: {text(changes.card_problem or 'one of the cards cannot be read')}"
        return
    yield from _by_change("metadata", ((one.change, code(one.key)) for one in changes.card.metadata))
    titles = ((one.change, text(one.title) if one.title else "the summary") for one in changes.card.sections)
    yield from _by_change("sections", titles)


def _files(changes: ReleaseDiff) -> Iterator[tuple[Change, str]]:
    return ((one.change, code(one.path)) for one in changes.files)


def _by_change(what: str, names: Iterable[tuple[Change, str]]) -> Iterator[str]:
    """Yields a line for each kind of change, with the names of what changed."""
    known = list(names)
    for kind in dict.fromkeys(change for change, _ in known):
        yield f"- {what} {kind}: {', '.join(name for change, name in known if change == kind)}"
