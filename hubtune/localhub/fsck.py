"""Checks a Hub's folder: every git object and large file against its digest, and that nothing in use is missing.

Each finding names every commit and path that needs what is damaged. The Hub's own records, which no digest guards, must
hold what they are for.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from hubtune.localhub import git_objects as objects
from hubtune.localhub.accounts import AccessList
from hubtune.localhub.discussions import DiscussionStore
from hubtune.localhub.hub_folder import HubFolder, leftovers, repo_folders
from hubtune.localhub.ids import REDIRECTS_FILE, Redirects
from hubtune.localhub.repos import SETTINGS_FILE, RepoSettings

_BLOCK = 1 << 20
_MAIN = "refs/heads/main"
_Read = TypeVar("_Read")
DamageKind = Literal["git object", "git pack", "git file", "large file", "ref", "settings", "record"]


@dataclass(frozen=True)
class DamagePlace:
    """Where a damaged object is in use.

    Attributes:
        repo: The repository as its folder is named, such as `models/org/name`.
        commit: A commit that needs the object; None for what stands outside commits.
        path: The file or folder in that commit; empty for the root folder, None for the commit itself.
    """

    repo: str
    commit: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        kind: What sort of thing it is.
        name: Its digest, or its path below the Hub's folder.
        problem: Whether it is there at all.
        detail: What is wrong with it, in words.
        places: Where it is in use; empty if no branch, tag or other ref leads to it.
    """

    kind: DamageKind
    name: str
    problem: Literal["damaged", "missing"]
    detail: str
    places: tuple[DamagePlace, ...]


@dataclass(frozen=True)
class HubReport:
    """The outcome of a check.

    Attributes:
        repos: How many repositories there are.
        git_objects: How many git objects were checked.
        large_files: How many large files were checked.
        large_bytes: Their size together.
        damage: What is wrong.
        unreferenced: Large files that no commit needs: uploaded and not committed, or of a deleted repository.
        leftovers: Unfinished files of a server that was killed, below the Hub's folder; the next start removes them,
            and writes the index of a pack that has none.
    """

    repos: int
    git_objects: int
    large_files: int
    large_bytes: int
    damage: tuple[Damage, ...]
    unreferenced: int
    leftovers: tuple[str, ...]


def large_files(folder: HubFolder) -> list[Path]:
    """Returns every file in the store of large files."""
    return sorted(path for path in folder.objects.rglob("*") if path.is_file())


def check_hub(folder: HubFolder, files: list[Path], advance: Callable[[int], None]) -> HubReport:
    """Checks a Hub; changes nothing.

    Args:
        folder: The Hub's folder, which nobody else uses meanwhile.
        files: What `large_files` returns.
        advance: Told of the bytes of large files that have been read.
    """
    sizes = {path: path.stat().st_size for path in files}
    check = _Check({path.name: size for path, size in sizes.items() if path == _place_of(folder, path.name)})
    for path in files:
        check.large_file(path, advance)
        if path != _place_of(folder, path.name):
            check.stray(path.relative_to(folder.root))
    repos = list(repo_folders(folder.repos))
    check.moves(folder.repos)
    for repo in repos:
        check.repo(repo, repo.relative_to(folder.repos).as_posix().removesuffix(".git"))
    return HubReport(
        repos=len(repos),
        git_objects=check.git_objects,
        large_files=len(files),
        large_bytes=sum(sizes.values()),
        damage=tuple(check.damage()),
        unreferenced=len(check.sizes.keys() - check.used),
        leftovers=tuple(path.relative_to(folder.root).as_posix() for path in leftovers(folder)),
    )


def _place_of(folder: HubFolder, sha256: str) -> Path:
    return folder.objects / sha256[:2] / sha256[2:4] / sha256


class _Check:
    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.used: set[str] = set()
        self.git_objects = 0
        self._details: dict[tuple[DamageKind, str], tuple[Literal["damaged", "missing"], str]] = {}
        self._places: dict[tuple[DamageKind, str], list[DamagePlace]] = {}

    def damage(self) -> Iterator[Damage]:
        for (kind, name), (problem, detail) in self._details.items():
            yield Damage(kind, name, problem, detail, tuple(self._places.get((kind, name), ())))

    def large_file(self, path: Path, advance: Callable[[int], None]) -> None:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    advance(len(block))
        except OSError as error:
            self._found("large file", path.name, f"it cannot be read: {error.strerror}")
            return
        if digest.hexdigest() != path.name:
            self._found("large file", path.name, "its content has another sha256")

    def stray(self, path: Path) -> None:
        self._found("large file", path.as_posix(), "it is not where a file of its name is looked for")

    def moves(self, repos: Path) -> None:
        # A hub without moved repositories has no such file.
        if (repos / REDIRECTS_FILE).exists():
            self._read(
                "record",
                f"repos/{REDIRECTS_FILE}",
                "the old names of repositories",
                Redirects(repos / REDIRECTS_FILE).all,
            )

    def repo(self, folder: Path, name: str) -> None:
        here = DamagePlace(name)
        where = f"repos/{name}.git"
        settings = folder / SETTINGS_FILE
        self._read(
            "settings",
            f"{where}/{SETTINGS_FILE}",
            "a repository's settings",
            lambda: RepoSettings.model_validate_json(settings.read_bytes()),
            here,
        )
        self._read("record", f"{where}/access.json", "access requests", AccessList(folder).all, here)
        for file, detail in objects.damaged_files(folder):
            self._found("git file", f"{where}/{file}", detail, place=here)
        refs = dict(objects.read_refs(folder))
        if _MAIN not in refs:
            self._found("ref", f"{where}/{_MAIN}", "no such branch", problem="missing", place=here)
        self._discussions(folder, where, here, refs)
        contents = objects.read_objects(folder)
        self.git_objects += len(contents)
        for oid, detail in contents.damaged.items():
            self._found("git object", oid, detail)
        for pack, detail in contents.damaged_packs.items():
            self._found("git pack", f"{where}/objects/pack/{pack}", detail, place=here)
        heads = []
        for ref, value in refs.items():
            file = f"{where}/{ref}"
            commit = contents.peel(value)
            if not objects.is_digest(value):
                self._found("ref", file, "it does not hold a digest", place=here)
            elif commit not in contents.commits:
                # Told twice: which object is the cause, and that the ref cannot be used.
                self._use(contents, commit, DamagePlace(name, commit))
                self._found("ref", file, f"it leads to {commit}, which is not a sound commit", place=here)
            else:
                heads.append(commit)
        self._walk(name, contents, heads)

    def _discussions(self, folder: Path, where: str, here: DamagePlace, refs: Mapping[str, str]) -> None:
        for path in sorted((folder / "discussions").glob("*.json")):
            name = f"{where}/discussions/{path.name}"
            read = partial(DiscussionStore(folder).find, int(path.stem)) if path.stem.isdecimal() else None
            if read is None:
                self._found("record", name, "its name is not a discussion's number", place=here)
                continue
            found = self._read("record", name, "a discussion", read, here)
            if found is not None and found.num != int(path.stem):
                self._found("record", name, f"it holds discussion {found.num}", place=here)
            elif found is not None and found.pull_request and found.ref not in refs:
                detail = f"pull request {found.num} has lost its branch"
                self._found("ref", f"{where}/{found.ref}", detail, problem="missing", place=here)

    def _read(
        self, kind: DamageKind, name: str, meant: str, read: Callable[[], _Read], place: DamagePlace | None = None
    ) -> _Read | None:
        try:
            return read()
        except OSError as error:
            self._found(kind, name, f"it cannot be read: {error.strerror}", place=place)
        except ValueError:
            self._found(kind, name, f"it does not hold {meant}", place=place)
        return None

    def _walk(self, repo: str, contents: objects.GitContents, heads: list[str]) -> None:
        trees = _Trees(contents, self._is_sound)
        seen, waiting = set(heads), list(heads)
        while waiting:
            oid = waiting.pop()
            links = contents.commits.get(oid)
            if links is None:
                self._use(contents, oid, DamagePlace(repo, oid))
                continue
            for path, cause in trees.unsound(links.tree):
                place = DamagePlace(repo, oid, path)
                if isinstance(cause, objects.Pointer):
                    self._use_large(cause, place)
                else:
                    self._use(contents, cause, place)
            waiting += [parent for parent in links.parents if parent not in seen]
            seen.update(links.parents)
        self.used |= trees.used

    def _is_sound(self, pointer: objects.Pointer) -> bool:
        name = pointer.sha256
        return self.sizes.get(name) == pointer.size and ("large file", name) not in self._details

    def _use_large(self, pointer: objects.Pointer, place: DamagePlace) -> None:
        size = self.sizes.get(pointer.sha256)
        if size is None:
            self._found("large file", pointer.sha256, "no such file", problem="missing", place=place)
        else:
            detail = f"it has {size} bytes, and its pointer says {pointer.size}"
            self._found("large file", pointer.sha256, detail, place=place)

    def _use(self, contents: objects.GitContents, oid: str, place: DamagePlace) -> None:
        if contents.lacks(oid):
            self._found("git object", oid, "no such object", problem="missing", place=place)
        else:
            self._found("git object", oid, "it is an object of another kind", place=place)

    def _found(
        self,
        kind: DamageKind,
        name: str,
        detail: str,
        *,
        problem: Literal["damaged", "missing"] = "damaged",
        place: DamagePlace | None = None,
    ) -> None:
        # What was found first is the cause; what is found later tells further places.
        self._details.setdefault((kind, name), (problem, detail))
        if place is not None:
            self._places.setdefault((kind, name), []).append(place)


class _Trees:
    """Which paths of a tree are not sound; each tree is searched once, however many commits have it."""

    def __init__(self, contents: objects.GitContents, is_sound: Callable[[objects.Pointer], bool]) -> None:
        self.used: set[str] = set()
        self._contents = contents
        self._is_sound = is_sound
        self._known: dict[str, tuple[tuple[str, str | objects.Pointer], ...]] = {}

    def unsound(self, tree: str) -> tuple[tuple[str, str | objects.Pointer], ...]:
        """Returns each path that is not sound, with the git object or the large file that is the cause."""
        if tree not in self._known:
            items = self._contents.trees.get(tree)
            self._known[tree] = (("", tree),) if items is None else tuple(self._in_items(items))
        return self._known[tree]

    def _in_items(self, items: Iterable[objects.TreeItem]) -> Iterator[tuple[str, str | objects.Pointer]]:
        for item in items:
            if item.is_folder:
                for path, cause in self.unsound(item.oid):
                    yield f"{item.name}/{path}".rstrip("/"), cause
            elif item.oid not in self._contents.blobs:
                yield item.name, item.oid
            elif item.oid in self._contents.pointers:
                pointer = self._contents.pointers[item.oid]
                self.used.add(pointer.sha256)
                if not self._is_sound(pointer):
                    yield item.name, pointer
