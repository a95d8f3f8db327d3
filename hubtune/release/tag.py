"""The job of `hubtune release tag`: tags a commit.

If the manifest of the commit names the tag, the commit itself is tagged. Otherwise a new commit is created, in which
the three files that name the tag (card, config and manifest) are rendered again. Nothing else changes, so no weights
are uploaded. As in `hubtune.publish.push`, if an answer leaves open whether a commit was made, hubtune looks at the
branch, and does not make it again if it is there.
"""

from dataclasses import dataclass

from hubtune import __version__, errors
from hubtune.card.render import render_card
from hubtune.config.fields import check_tag, is_commit
from hubtune.config.schema import TuneConfig
from hubtune.hub.read import Refs, history, list_refs, refuse_branch_named, repo_url, require_readers_get, resolve
from hubtune.hub.repo_files import changed_files, differences, read_file
from hubtune.hub.write import CommitDraft, commit, create_branch, create_tag, delete_branch
from hubtune.metadata.versions import FIRST, Bump, newest_first, newest_version, next_tag, version_of
from hubtune.pipeline.licensing import require_allowed
from hubtune.pipeline.published import parse_document, read_release
from hubtune.publish.preflight import check_publisher
from hubtune.records.base import Progress, sha256_bytes
from hubtune.records.release import CARD, CONFIG, MANIFEST, Manifest, TagRecord, published_config
from hubtune.release.diff_record import card_inputs
from hubtune.release.differences import Suggestion, smaller, suggest_bump

_MAIN = "main"
_ATTEMPTS = 3
# Commits of main that are searched for one that an interrupted attempt made.
_SEARCHED = 1000
# Failures after which the commit may have been made all the same.
_OPEN = (errors.HubError, errors.HubUnreachableError, errors.PublishConflictError)


@dataclass(frozen=True)
class Retag:
    """A published commit that is to get another tag.

    Attributes:
        source: The commit that it has now.
        files: Path to content of the files that name the tag; all others stay as they are.
    """

    repo: str
    tag: str
    source: str
    files: dict[str, bytes]

    @property
    def message(self) -> str:
        """The commit's message; see `retag_message`."""
        return retag_message(self.tag, self.source)

    @property
    def branch(self) -> str:
        """The branch for the commit until it has its tag, if it cannot be on main."""
        return f"hubtune-{self.tag}"


def retag_message(tag: str, source: str) -> str:
    """Returns the message of the commit that gives the content of `source` the tag; by it the commit is found again."""
    return f"Release {tag}: the content of {source}"


def plan_retag(source: str, manifest: Manifest, config: TuneConfig, card: str) -> Retag:
    """Returns the commit with the three files as publishing the run under that tag would render them.

    Args:
        source: The commit that holds the release.
        manifest: Its manifest.
        config: Its config, with the new tag.
        card: Its card, rendered for the new tag.
    """
    files = {CARD: card.encode(), CONFIG: published_config(config).encode()}
    digests = {**manifest.files, **{path: sha256_bytes(content) for path, content in files.items()}}
    renamed = manifest.model_copy(
        update={
            "hubtune": __version__,
            "tag": config.publish.tag,
            "files": dict(sorted(digests.items())),
            "config": digests[CONFIG],
        }
    )
    files[MANIFEST] = renamed.to_json().encode()
    return Retag(repo=manifest.repo, tag=config.publish.tag, source=source, files=files)


def retag(plan: Retag, progress: Progress) -> str:
    """Commits the three files and tags the commit.

    If the source is the head of main, the commit follows it there. Otherwise it is on a branch that is deleted when the
    tag exists.

    Returns:
        The commit that the tag is on.

    Raises:
        TagExistsError: The tag came to be on something else meanwhile.
        PublishConflictError: Somebody else committed meanwhile.
        ReadBackError: The Hub holds other bytes than were sent. The commit is there, and has no tag.
        HubError: The Hub refused, or could not be reached.
    """
    with progress.task(f"Tagging {plan.repo}", 3) as task:
        made = _place(plan)
        task.advance(note=f"commit {made[:7]}")
        wrong = deviations(plan, made)
        if wrong:
            raise errors.ReadBackError(
                f"{plan.repo} at {made} does not hold what was sent; the commit was not tagged.",
                details=wrong,
                hint="Run the same command again. If it happens again, the Hub or something on the way damages files.",
            )
        task.advance(note=f"{len(plan.files)} files read back")
        create_tag(plan.repo, plan.tag, made)
        task.advance(note=f"tag {plan.tag}")
    clear_branch(plan, made, progress)
    return made


def deviations(plan: Retag, at: str) -> list[str]:
    """Returns the files in which a commit differs from the source, apart from the three files that name the tag."""
    other = changed_files(plan.repo, plan.source, at) - set(plan.files)
    expected = {path: sha256_bytes(content) for path, content in plan.files.items()}
    return [*(f"{path}: not as at {plan.source}" for path in sorted(other)), *differences(plan.repo, at, expected)]


def clear_branch(plan: Retag, tagged: str, progress: Progress) -> None:
    """Deletes the branch that was needed until the tag existed; a failure is only a warning."""
    try:
        if list_refs(plan.repo).branches.get(plan.branch) != tagged:
            return
        delete_branch(plan.repo, plan.branch)
    except errors.HubError as error:
        progress.warn(f"The tag is there; the branch {plan.branch} could not be deleted: {error.message}")
        return
    progress.say(f"Deleted the branch {plan.branch}: the tag {plan.tag} keeps its commit.")


def _place(plan: Retag) -> str:
    branches = list_refs(plan.repo).branches
    head = branches.get(_MAIN)
    if head == plan.source:
        return _commit(plan, _MAIN)
    made = _made_before(plan, head) if head is not None else None
    if made is not None:
        return made
    create_branch(plan.repo, plan.branch, plan.source)
    return _commit(plan, plan.branch)


def _made_before(plan: Retag, head: str) -> str | None:
    """Returns the commit on main that an attempt made which came no further."""
    for line in history(plan.repo, head, _SEARCHED):
        if line.commit == plan.source:
            return None
        if line.title == plan.message and not deviations(plan, line.commit):
            return line.commit
    return None


def _commit(plan: Retag, branch: str) -> str:
    for attempt in range(1, _ATTEMPTS + 1):
        head = list_refs(plan.repo).branches.get(branch)
        if head != plan.source:
            # An attempt before this one, whose answer was lost, may be what moved the branch.
            if head is not None and not deviations(plan, head):
                return head
            raise errors.PublishConflictError(
                f"The branch {branch} of {plan.repo} is on {head}, where {plan.source} was expected.",
                hint="Run the same command again: it starts from the new head."
                if branch == _MAIN
                else f"Delete the branch {branch} if nobody needs it, then run the same command again.",
            )
        try:
            return commit(plan.repo, CommitDraft(plan.files, plan.source, plan.message), branch=branch)
        except errors.HubError as error:
            if attempt == _ATTEMPTS or type(error) not in _OPEN:
                raise
    raise AssertionError("the loop returns or raises")


def tag_release(repo: str, revision: str, tag: str | None, bump: Bump | None, progress: Progress) -> TagRecord:
    """Tags a commit of a model repository. A tag that is on the release already is success.

    Args:
        repo: The repository.
        revision: A commit, or a branch whose head is meant.
        tag: The tag; None to take the one that `bump` gives.
        bump: Which part of the newest version to raise. Without either, nothing is written.
        progress: Reports each step.

    Raises:
        ConfigError: The tag is not a version, or neither a tag nor a bump was given: the hint has the command.
        AmbiguousRevisionError: A branch has the tag's name.
        TagExistsError: The tag is on something else.
        RecordError: The commit holds another repository's release, or not what its manifest says.
        CardError: The card cannot be rendered for the tag.
        HubError: The token may not write, the revision is not there, or the Hub refused.
    """
    if tag is not None:
        _check(tag, bump)
    if tag is not None or bump is not None:
        check_publisher(repo, progress)
    refs = list_refs(repo)
    commit = _commit_of(repo, refs, revision)
    if revision != commit:
        progress.say(f"{revision} is at {commit}")
    manifest = _manifest(repo, commit)
    if tag is None and bump is None:
        raise _ask(repo, revision, commit, refs, manifest)
    if tag is None:
        assert bump is not None, "one of the two was given"
        tag = _bumped(repo, commit, refs, bump, progress)
    refuse_branch_named(repo, tag, refs)
    record = _tag(_Candidate(repo, commit, manifest), tag, refs.tags.get(tag), progress)
    require_readers_get(repo, tag, record.commit)
    return record


@dataclass(frozen=True)
class _Candidate:
    """A commit to be tagged, and the manifest in it; None if it holds no release of hubtune."""

    repo: str
    commit: str
    manifest: Manifest | None


def _tag(candidate: _Candidate, tag: str, taken: str | None, progress: Progress) -> TagRecord:
    repo, commit, manifest = candidate.repo, candidate.commit, candidate.manifest
    record = TagRecord(
        repo=repo,
        tag=tag,
        commit=commit,
        source=commit,
        existed=taken is not None,
        checked=manifest is not None,
        url=repo_url(repo, tag),
    )
    if manifest is None:
        if taken not in (None, commit):
            raise _taken(repo, tag, str(taken))
        progress.warn(f"{commit} has no {MANIFEST}, so the tag cannot be verified.")
        create_tag(repo, tag, commit)
        return record
    _check_content(repo, commit, manifest)
    if taken == commit or manifest.tag == tag:
        if taken not in (None, commit):
            raise _taken(repo, tag, str(taken))
        if manifest.tag != tag:
            progress.warn(f"{tag} is at {commit}, whose manifest and card name {manifest.tag}.")
        create_tag(repo, tag, commit)
        return record
    plan = _plan(repo, commit, manifest, tag)
    if taken is None:
        progress.say(f"{commit} names {manifest.tag}: card, config and manifest are rewritten for {tag}.")
        return record.model_copy(update={"commit": retag(plan, progress)})
    if history(repo, taken, 1)[0].title != plan.message or deviations(plan, taken):
        raise _taken(repo, tag, taken)
    clear_branch(plan, taken, progress)
    return record.model_copy(update={"commit": taken})


def _plan(repo: str, commit: str, manifest: Manifest, tag: str) -> Retag:
    release = read_release(repo, commit)
    if release.config.card.templates is not None:
        raise errors.RecordError(
            f"{repo} at {commit} names {manifest.tag}, and its card was made with section templates of its author, "
            "which are not published: it cannot be rendered for another tag.",
            hint=f"Publish the run again under that tag: hubtune publish RUN --push {repo} --tag {tag}",
        )
    publish = release.config.publish.model_copy(update={"repo": repo, "tag": tag})
    config = release.config.model_copy(update={"publish": publish})
    inputs = card_inputs(release, config, tag)
    require_allowed(inputs.licenses)
    return plan_retag(commit, manifest, config, render_card(inputs))


def _check(tag: str, bump: Bump | None) -> None:
    if bump is not None:
        raise errors.ConfigError(f"The tag {tag} and --bump {bump} were both given.", hint="Leave one of them out.")
    try:
        check_tag(tag)
    except ValueError as error:
        raise errors.ConfigError(f"The tag {error}.", hint="Give another, or let --bump find it.") from error


def _commit_of(repo: str, refs: Refs, revision: str) -> str:
    if is_commit(revision):
        return resolve(repo, "model", revision).commit
    if revision not in refs.branches:
        raise errors.RevisionNotFoundError(
            f"{repo} has no branch {revision!r}.",
            details=[f"branch {name} on {commit}" for name, commit in sorted(refs.branches.items())[:20]],
            hint="Give one of its branches, or all 40 digits of a commit.",
        )
    return resolve(repo, "model", revision).commit


def _manifest(repo: str, commit: str) -> Manifest | None:
    content = read_file(repo, commit, MANIFEST)
    if content is None:
        return None
    manifest = parse_document(Manifest, content, MANIFEST)
    if manifest.repo != repo:
        raise errors.RecordError(
            f"{repo} at {commit} holds a release of {manifest.repo}: its manifest and its card name that repository.",
            hint=f"Publish the run to this repository instead: hubtune publish RUN --push {repo}",
        )
    return manifest


def _check_content(repo: str, commit: str, manifest: Manifest) -> None:
    wrong = differences(repo, commit, manifest.files)
    if wrong:
        raise errors.RecordError(
            f"{repo} at {commit} does not hold what its manifest says, so it gets no tag.",
            details=wrong,
            hint="It was changed after it was published. Tag the commit that was published, or publish again.",
        )


def _taken(repo: str, tag: str, commit: str) -> errors.TagExistsError:
    return errors.TagExistsError(
        f"{repo} already has the tag {tag}, on {commit}, which is not this release; a tag is never moved.",
        hint=f"Give another tag, or let --bump find it; the tags that there are: hubtune release list {repo}",
    )


def _bumped(repo: str, commit: str, refs: Refs, bump: Bump, progress: Progress) -> str:
    newest = newest_version(refs.tags)
    there = _version_of(repo, commit, refs)
    if there is not None:
        progress.say(f"This release already has a tag: {there}")
        return there
    tag = next_tag(newest, bump)
    if newest is None:
        progress.say(f"{repo} has no version yet, so this is {tag}")
        return tag
    try:
        suggested = _suggestion(repo, refs.tags[newest], commit)
    except (errors.RecordError, errors.ConfigError, errors.HubError) as error:
        progress.warn(f"Cannot check whether {bump} fits the changes since {newest}: {error.message}")
        return tag
    if smaller(bump, suggested.bump):
        progress.warn(
            f"--bump {bump} is too small for the changes since {newest}, which call for {suggested.bump}: "
            f"{'; '.join(suggested.reasons)}"
        )
    progress.say(f"The next version after {newest} is {tag}")
    return tag


def _version_of(repo: str, commit: str, refs: Refs) -> str | None:
    """Returns the version that the release has already, so that a second --bump finds what the first one gave."""
    on_it = [tag for tag in newest_first(refs.tags) if refs.tags[tag] == commit and version_of(tag) is not None]
    newest = newest_version(refs.tags)
    if not on_it and newest is not None:
        title = history(repo, refs.tags[newest], 1)[0].title
        return newest if title == retag_message(newest, commit) else None
    return on_it[0] if on_it else None


def _suggestion(repo: str, before: str, after: str) -> Suggestion:
    return suggest_bump(read_release(repo, before), read_release(repo, after))


def _ask(repo: str, revision: str, commit: str, refs: Refs, manifest: Manifest | None) -> errors.ConfigError:
    """Returns the error that says which tag fits, and the command that gives it."""
    command = f"hubtune release tag {repo} {revision}"
    newest = newest_version(refs.tags)
    there = _version_of(repo, commit, refs)
    if there is not None:
        return errors.ConfigError(f"{commit} is tagged already: {there}.", hint=f"Another tag for it: {command} TAG")
    if manifest is not None and manifest.tag not in refs.tags:
        return errors.ConfigError(
            f"No tag was given; the manifest of {commit} names {manifest.tag}, which is free.",
            hint=f"{command} {manifest.tag}",
        )
    if newest is None:
        return errors.ConfigError(f"No tag was given; {repo} has no version yet.", hint=f"{command} {FIRST}")
    try:
        suggested = _suggestion(repo, refs.tags[newest], commit)
    except (errors.RecordError, errors.ConfigError) as error:
        return errors.ConfigError(
            f"No tag was given, and what changed since {newest} cannot be read: {error.message}",
            hint=f"{command} {next_tag(newest, 'minor')}, or --bump patch, minor or major",
        )
    return errors.ConfigError(
        f"No tag was given; what changed since {newest} asks for a {suggested.bump} version, "
        f"{next_tag(newest, suggested.bump)}.",
        details=suggested.reasons,
        hint=f"{command} --bump {suggested.bump}",
    )
