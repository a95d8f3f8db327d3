"""The list of a repository's releases: each tag with its commit, date and measures, and what cannot be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hubtune.card.lint import CardSource
from hubtune.card.lint.card import MOST_BYTES, read_card
from hubtune.card.lint.rules.results import indexed_metrics
from hubtune.errors import HubError, HubUnreachableError, RecordError
from hubtune.hub.read import CommitLine, Refs, history, list_refs, resolve
from hubtune.hub.repo_files import read_files
from hubtune.metadata.versions import newest_first, version_of
from hubtune.pipeline.published import parse_document
from hubtune.records.base import Progress
from hubtune.records.release import CARD, MANIFEST, PLACES, ListedMeasure, ListedRelease, Manifest, ReleaseList
from hubtune.records.results import EvaluationRecord

# Commits of main that are asked for, in one request: their dates, and how many of them have no tag.
_RECENT = 200
_EVALUATION = PLACES[EvaluationRecord]
# A card with results of a whole leaderboard is cut in a list of releases.
_MOST_MEASURES = 20


@dataclass(frozen=True)
class _Read:
    """What was read of one commit, see `ListedRelease`."""

    artifact: str | None = None
    measures: tuple[ListedMeasure, ...] = ()
    source: str | None = None
    problem: str | None = None


def list_releases(repo: str, progress: Progress, *, most: int) -> ReleaseList:
    """Lists every tag of a model repository.

    Args:
        repo: The repository.
        progress: Reports each release that is read.
        most: How many are read, the newest versions first; the others are listed with just their commit.

    Raises:
        HubError: The repository cannot be read.
    """
    refs = list_refs(repo)
    main = refs.branches.get("main")
    recent = history(repo, main, _RECENT) if main is not None else []
    dates = {line.commit: line.date.isoformat() for line in recent}
    tags = newest_first(refs.tags)
    rows = []
    with progress.task(f"Reading {repo}", min(most, len(tags))) as task:
        for tag in tags[:most]:
            rows.append(_row(repo, tag, refs.tags[tag], dates))
            task.advance(note=tag)
    rows += [_unread(tag, refs.tags[tag], dates, most) for tag in tags[most:]]
    untagged = _untagged(recent, refs)
    return ReleaseList(
        repo=repo,
        main=main,
        main_tags=[tag for tag in tags if refs.tags[tag] == main],
        untagged=untagged,
        untagged_is_least=untagged == _RECENT,
        releases=rows,
    )


def _untagged(recent: list[CommitLine], refs: Refs) -> int:
    tagged = set(refs.tags.values())
    return next((number for number, line in enumerate(recent) if line.commit in tagged), len(recent))


def _row(repo: str, tag: str, commit: str, dates: Mapping[str, str]) -> ListedRelease:
    date = dates.get(commit)
    try:
        if date is None:
            date = history(repo, commit, 1)[0].date.isoformat()
        read = _read(repo, tag, commit)
    except HubUnreachableError:
        raise
    except HubError as error:
        read = _Read(problem=error.message)
    return _release(tag, commit, date, read)


def _unread(tag: str, commit: str, dates: Mapping[str, str], most: int) -> ListedRelease:
    read = _Read(problem=f"not read: only the first {most} are (--limit)")
    return _release(tag, commit, dates.get(commit), read)


def _release(tag: str, commit: str, date: str | None, read: _Read) -> ListedRelease:
    return ListedRelease.model_validate(
        {
            "tag": tag,
            "version": version_of(tag) is not None,
            "commit": commit,
            "date": date,
            "artifact": read.artifact,
            "measures": read.measures,
            "source": read.source,
            "problem": read.problem,
        }
    )


def _read(repo: str, tag: str, commit: str) -> _Read:
    files = resolve(repo, "model", commit).files
    wanted = [path for path in (MANIFEST, _EVALUATION) if files.get(path, MOST_BYTES + 1) <= MOST_BYTES]
    # The card is what is left to ask if there are no records.
    if _EVALUATION not in wanted and files.get(CARD, MOST_BYTES + 1) <= MOST_BYTES:
        wanted.append(CARD)
    content = read_files(repo, "model", commit, wanted)
    if MANIFEST not in content:
        fault = "is too large to be one" if MANIFEST in files else "is missing: hubtune did not make this release"
        return _of_card(content, None, f"{MANIFEST} {fault}")
    try:
        manifest = parse_document(Manifest, content[MANIFEST], MANIFEST)
        problem = _misfit(manifest, repo, tag)
        if _EVALUATION not in content:
            return _of_card(content, manifest.artifact, problem or f"{_EVALUATION} is missing")
        record = parse_document(EvaluationRecord, content[_EVALUATION], _EVALUATION)
    except RecordError as error:
        return _Read(problem=error.message)
    measures = [
        ListedMeasure(name=one.name, split=one.split, n=one.n, base=one.base, tuned=one.tuned)
        for one in record.measures
        if one.status == "measured" and one.tuned is not None
    ]
    return _Read(manifest.artifact, tuple(measures[:_MOST_MEASURES]), "records", problem)


def _misfit(manifest: Manifest, repo: str, tag: str) -> str | None:
    if manifest.repo != repo:
        return f"the manifest names another repository, {json.dumps(manifest.repo)}"
    if version_of(tag) is not None and manifest.tag != tag:
        return f"the manifest names another tag, {json.dumps(manifest.tag)}"
    return None


def _of_card(content: Mapping[str, bytes], artifact: str | None, problem: str) -> _Read:
    if CARD not in content:
        return _Read(artifact, problem=problem)
    text = content[CARD].decode(errors="replace")
    card = read_card(CardSource(content=content[CARD], kind="model"), text)
    measures = [
        ListedMeasure(name=metric.type, split=None, n=None, base=None, tuned=metric.number)
        for metric in indexed_metrics(card)
        if metric.number is not None
    ]
    return _Read(artifact, tuple(measures[:_MOST_MEASURES]), "card" if measures else None, problem)
