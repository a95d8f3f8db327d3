"""Discussions and pull requests.

A discussion is one JSON file next to the git repository, replaced as a whole with each change. A pull request is one
that has a branch; its commits, conflicts and merging are here too.
"""

import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Literal

from dulwich.graph import find_merge_base
from dulwich.objects import Commit, ObjectID
from dulwich.patch import write_tree_diff
from dulwich.refs import Ref
from dulwich.repo import Repo
from pydantic import BaseModel, ConfigDict, Field

from hubtune.localhub.api_errors import ApiError, revision_not_found
from hubtune.localhub.commits import identity, move_branch, new_commit
from hubtune.localhub.disk import sync_folder, write_durably
from hubtune.localhub.large_files import RepoLargeFiles
from hubtune.localhub.revisions import read_ref
from hubtune.localhub.tree_edits import TreeEdit
from hubtune.localhub.trees import title, tree_of, walk

_MOST_EVENTS = 2000
_MOST_EDITS = 100

Status = Literal["draft", "open", "closed", "merged"]
_Files = Mapping[bytes, tuple[int, ObjectID]]


class Event(BaseModel):
    """Something that happened in a discussion.

    Attributes:
        id: 24 hexadecimal digits.
        type: `comment`, `status-change`, `commit` or `title-change`.
        author: The user who did it.
        created: When.
        data: What belongs to the type: `text`, `edits` and `hidden` of a comment; `status`; `subject` and `oid`;
            `from` and `to`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default_factory=lambda: secrets.token_hex(12))
    type: Literal["comment", "status-change", "commit", "title-change"]
    author: str
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    data: dict[str, object]


class Comment(BaseModel):
    """The text of a comment and how it came about.

    Attributes:
        text: As it reads now.
        updated: When it was last changed.
        updated_by: Who changed it.
        history: Earlier texts, the oldest first.
        hidden: Whether the text was taken away for good.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    updated: datetime
    updated_by: str
    history: tuple[str, ...] = ()
    hidden: bool = False


class Discussion(BaseModel):
    """A discussion or a pull request, which is one with a branch of its own, `refs/pr/NUM`.

    Attributes:
        num: Its number in the repository, from 1.
        title: One line.
        author: The user who opened it.
        created: When.
        status: Only pull requests can be drafts or merged.
        pull_request: Whether it is a pull request.
        base: The full ref of the branch that a pull request wants to change.
        merge_commit: The commit that merged it, or None.
        events: What happened, the oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num: int
    title: str
    author: str
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    status: Status = "open"
    pull_request: bool = False
    base: str = "refs/heads/main"
    merge_commit: str | None = None
    events: tuple[Event, ...] = ()

    @property
    def ref(self) -> str:
        """The full ref of the pull request's branch."""
        return f"refs/pr/{self.num}"

    def with_event(self, event: Event, **changes: object) -> "Discussion":
        """Returns the discussion after an event, with the fields that the event changed."""
        return self.model_copy(update={**changes, "events": (*self.events, event)})

    def check_room(self) -> None:
        """Refuses further words if there are so many that each look at them takes long.

        Raises:
            ApiError: 409.
        """
        if len(self.events) >= _MOST_EVENTS:
            raise ApiError(409, f"The discussion has {len(self.events)} events, and takes no more. Open another.")

    def with_edited(self, event: Event) -> "Discussion":
        """Returns the discussion with an event in place of the one with its id."""
        return self.model_copy(
            update={"events": tuple(event if old.id == event.id else old for old in self.events)},
        )

    def comment(self, comment_id: str) -> Event | None:
        """Returns the comment with this id, or None."""
        wanted = comment_id.lower()
        return next((event for event in self.events if event.type == "comment" and event.id == wanted), None)


def comment_event(author: str, text: str) -> Event:
    """Returns a new comment."""
    content = Comment(text=text, updated=datetime.now(UTC), updated_by=author)
    return Event(type="comment", author=author, data=content.model_dump(mode="json"))


def edit_comment(event: Event, editor: str, text: str) -> Event:
    """Returns the comment with another text.

    Raises:
        ApiError: 409 if it was changed so often that its history would grow forever.
    """
    old = Comment.model_validate(event.data)
    if len(old.history) >= _MOST_EDITS:
        raise ApiError(409, f"The comment was edited {_MOST_EDITS} times, and takes no more edits. Write another.")
    changes = {"text": text, "updated": datetime.now(UTC), "updated_by": editor, "history": (*old.history, old.text)}
    return event.model_copy(update={"data": old.model_copy(update=changes).model_dump(mode="json")})


def hide_comment(event: Event, editor: str) -> Event:
    """Returns the comment without its texts; they are not kept anywhere."""
    content = Comment(text="This comment has been hidden", updated=datetime.now(UTC), updated_by=editor, hidden=True)
    return event.model_copy(update={"data": content.model_dump(mode="json")})


def event(type_: Literal["status-change", "commit", "title-change"], author: str, data: Mapping[str, object]) -> Event:
    """Returns a new event that is not a comment."""
    return Event(type=type_, author=author, data=dict(data))


class DiscussionStore:
    """The discussions of one repository; who changes them holds the repository's lock.

    Args:
        repo: The folder of the repository.
    """

    def __init__(self, repo: Path) -> None:
        self._folder = repo / "discussions"

    def all(self) -> list[Discussion]:
        """Returns every discussion, the newest first."""
        numbers = sorted((int(path.stem) for path in self._folder.glob("*.json")), reverse=True)
        return [found for number in numbers if (found := self.find(number)) is not None]

    def find(self, number: int) -> Discussion | None:
        """Returns the discussion with this number, or None."""
        try:
            return Discussion.model_validate_json(self._path(number).read_bytes())
        except FileNotFoundError:
            return None

    def next_number(self) -> int:
        """Returns a number that no discussion has had."""
        return max((int(path.stem) for path in self._folder.glob("*.json")), default=0) + 1

    def save(self, discussion: Discussion) -> None:
        """Writes a discussion, new or changed."""
        if not self._folder.is_dir():
            self._folder.mkdir()
            sync_folder(self._folder.parent)
        write_durably(self._path(discussion.num), discussion.model_dump_json(indent=2).encode())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"


class PullRequest:
    """The git side of a pull request.

    Args:
        git: The repository.
        discussion: The pull request's record.

    Raises:
        ApiError: RevisionNotFound if one of its branches is gone.
    """

    def __init__(self, git: Repo, discussion: Discussion) -> None:
        self._git = git
        self._record = discussion
        self._base_ref = Ref(discussion.base.encode())
        merged = discussion.merge_commit
        # What was merged is told as of then, whatever became of the branch.
        self.base = ObjectID(merged.encode()) if merged else _head(git, discussion.base)
        self.head = _head(git, discussion.ref)
        forks = find_merge_base(git, [self.base, self.head])
        self._fork = forks[0] if forks else self._last_common_state()

    def diff(self) -> str:
        """Returns the changes since the pull request left its target branch, as git prints them."""
        buffer = BytesIO()
        before = tree_of(self._git, self._fork) if self._fork else None
        write_tree_diff(buffer, self._git.object_store, before, tree_of(self._git, self.head))
        return buffer.getvalue().decode(errors="replace")

    def commits(self) -> list[Commit]:
        """Returns the pull request's own commits, the oldest first."""
        own: list[Commit] = []
        for commit in walk(self._git, self.head):
            if commit.id == self._fork:
                break
            own.append(commit)
        return own[::-1]

    def conflicts(self) -> list[str]:
        """Returns the files that both sides changed, each in its own way, and those that stand where a folder would.

        If the sides have nothing in common, nobody knows what either changed: all that differs is returned.
        """
        ours, theirs, before = self._sides()
        paths = ours.keys() | theirs.keys() | before.keys()
        if self._fork is None:
            found = {path for path in paths if ours.get(path) != theirs.get(path)}
        else:
            found = {
                path
                for path in paths
                if before.get(path) not in (ours.get(path), theirs.get(path)) and ours.get(path) != theirs.get(path)
            }
            merged = {path for path in paths if path in (ours if theirs.get(path) == before.get(path) else theirs)}
            found |= {folder for path in merged for folder in _folders(path) if folder in merged}
        return [path.decode(errors="replace") for path in sorted(found)]

    def merge(self, author: str, large_files: RepoLargeFiles) -> ObjectID:
        """Puts the changes on the target branch; the caller holds the repository's lock.

        Args:
            author: The user who merges.
            large_files: Those of the repository.

        Returns:
            The new commit; the branch's head if it held all the changes already.

        Raises:
            ApiError: 409 if there are conflicts.
        """
        conflicts = self.conflicts()
        if conflicts:
            raise ApiError(409, f"Cannot merge: there are conflicts in {', '.join(conflicts)}")
        _, theirs, before = self._sides()
        edit = TreeEdit(self._git, self.base, large_files)
        for path in theirs.keys() | before.keys():
            if theirs.get(path) != before.get(path):
                edit.replace(path, theirs.get(path))
        tree, objects = edit.build()
        if tree == tree_of(self._git, self.base):
            return self.base
        new = new_commit(tree, self.base, self._message(), author)
        move_branch(self._git, self._base_ref, self.base, new, objects)
        return new.id

    def _last_common_state(self) -> ObjectID | None:
        # A history that was squashed shares no commit any longer, but the files of the squashed one.
        states = {commit.tree for commit in walk(self._git, self.base)}
        return next((commit.id for commit in walk(self._git, self.head) if commit.tree in states), None)

    def _sides(self) -> tuple[_Files, _Files, _Files]:
        return (
            _files(self._git, self.base),
            _files(self._git, self.head),
            _files(self._git, self._fork) if self._fork else {},
        )

    def _message(self) -> str:
        lines = [f"- {title(commit)} ({commit.id.decode()})" for commit in self.commits()]
        by = f"Co-authored-by: {identity(self._record.author).decode()}"
        return "\n".join([f"{self._record.title} (#{self._record.num})", "", *lines, "", "", by])


def _head(git: Repo, ref: str) -> ObjectID:
    head = read_ref(git, Ref(ref.encode()))
    if head is None:
        raise revision_not_found(ref)
    return head


def _folders(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _files(git: Repo, commit: ObjectID) -> _Files:
    entries = git.object_store.iter_tree_contents(tree_of(git, commit))
    return {
        entry.path: (entry.mode, entry.sha)
        for entry in entries
        if entry.path is not None and entry.mode is not None and entry.sha is not None
    }
