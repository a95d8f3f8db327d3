"""Cards that a user names, on the Hub or on disk: checks one, and compares two."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.card.diff import CardDiff, diff_cards
from hubtune.card.lint import CardSource, LintReport, all_rules, lint_source
from hubtune.card.lint.card import CARD_NAME, LICENSE_NAMES, MOST_BYTES, MOST_LICENSE_BYTES, read_folder
from hubtune.card.lint.registry import Severity
from hubtune.card.markdown import is_placeholder_id
from hubtune.config.fields import check_repo_id
from hubtune.documents import UnreadableError
from hubtune.errors import CardError, ConfigError, HubError, HubUnreachableError, RepoNotFoundError
from hubtune.hub.license_facts import fetch_licensed_input
from hubtune.hub.read import resolve, resolve_named
from hubtune.hub.repo_files import read_files
from hubtune.metadata.front_matter import front_matter, texts
from hubtune.records.base import Pin, Record, RepoType

if TYPE_CHECKING:
    from hubtune.records.base import LicensedInput

_MOST_INPUTS = 20


class RuleEntry(Record):
    """One rule, as it is listed."""

    id: str
    severity: Severity
    summary: str


class RuleList(Record):
    """All rules, by name."""

    rules: list[RuleEntry]


def lint_named(named: str, *, kind: RepoType | None = None, offline: bool = False) -> LintReport:
    """Checks the card that a user names.

    Args:
        named: A path, or a repository of the Hub.
        kind: The repository type of a card on disk.
        offline: Whether to skip requests to the Hub about the card's inputs.

    Raises:
        CardError: There is no card.
        HubError: The repository cannot be read.
    """
    source = open_card(named, kind)
    return lint_source(source if offline else _with_inputs(source))


def diff_named(before: str, after: str) -> CardDiff:
    """Compares the two cards that a user names.

    Raises:
        CardError: There is no card, or it is not text.
        HubError: A repository cannot be read.
    """
    return diff_cards(open_card(before), open_card(after))


def list_of_rules() -> RuleList:
    """Returns all rules of the lint."""
    return RuleList(rules=[RuleEntry(id=rule.id, severity=rule.severity, summary=rule.summary) for rule in all_rules()])


def open_card(named: str, kind: RepoType | None = None) -> CardSource:
    """Reads the card that a user names; what exists on disk is taken from there.

    Raises:
        CardError: There is no card.
        HubError: The repository cannot be read.
        ConfigError: It is neither a path nor a repository's name.
    """
    path = Path(named)
    if os.path.lexists(path):
        return read_folder(path, kind)
    name = named.partition("@")[0]
    try:
        check_repo_id(name.removeprefix("datasets/"))
    except ValueError:
        raise ConfigError(
            f"{named} is neither a file or folder here nor the name of a repository.",
            hint="Give a folder with a README.md, or org/name, datasets/org/name or org/name@TAG.",
        ) from None
    try:
        return _from_hub(named)
    except RepoNotFoundError as error:
        raise RepoNotFoundError(
            f"{error.message} There is no file or folder {named} here either.",
            hint="Check the path; or the id, which is datasets/org/name for a dataset.",
        ) from error


def _from_hub(named: str) -> CardSource:
    repo = resolve_named(named)
    files, commit = repo.found.files, repo.found.commit
    if CARD_NAME not in files:
        raise CardError(f"{repo.repo} has no {CARD_NAME} at {commit}.", hint="Name a revision that has one.")
    # A card beyond the bound is not fetched: its size says all that will be said of it.
    wanted = [CARD_NAME] if files[CARD_NAME] <= MOST_BYTES else []
    wanted += [path for path in LICENSE_NAMES if path in files and files[path] <= MOST_LICENSE_BYTES]
    contents = read_files(repo.repo, repo.type, commit, wanted)
    return CardSource(
        content=contents.pop(CARD_NAME, b" " * (MOST_BYTES + 1)),
        kind=repo.type,
        repo=repo.repo,
        commit=commit,
        name=repo.repo.rpartition("/")[2],
        exists=_among(files),
        license_texts={path: content.decode(errors="replace") for path, content in contents.items()},
    )


def _among(files: Collection[str]) -> Callable[[str], bool]:
    known = set(files)
    for path in files:
        parts = path.split("/")
        known |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    return lambda path: path.rstrip("/") in known


def _with_inputs(source: CardSource) -> CardSource:
    """Returns the card together with what its base models and datasets say of their licenses."""
    inputs: list[LicensedInput] = []
    unread: list[str] = []
    for kind, repo in list(_named_inputs(source))[:_MOST_INPUTS]:
        try:
            found = resolve(repo, kind, "main")
            pin = Pin(repo=repo, type=kind, requested="main", commit=found.commit, license=found.license)
            inputs.append(fetch_licensed_input(pin))
        except HubError as error:
            unread.append(error.message)
            if isinstance(error, HubUnreachableError):
                break
    return replace(source, inputs=tuple(inputs), unread=tuple(unread))


def _named_inputs(source: CardSource) -> Iterator[tuple[RepoType, str]]:
    if len(source.content) > MOST_BYTES or source.kind == "dataset":
        return
    try:
        data = front_matter(source.content.decode("utf-8").replace("\r\n", "\n")) or {}
    except (UnicodeDecodeError, UnreadableError):
        return
    kinds: tuple[tuple[str, RepoType], ...] = (("base_model", "model"), ("datasets", "dataset"))
    for key, kind in kinds:
        for repo in dict.fromkeys(texts(data, key)):
            try:
                check_repo_id(repo)
            except ValueError:
                continue
            if not is_placeholder_id(repo):
                yield kind, repo
