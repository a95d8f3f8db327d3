"""The documents of a release, which are untrusted: each is read independently, within limits, with its faults.

It also decides how a check becomes a claim: what contradicts it, and what leaves it unchecked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml

from hubtune import errors
from hubtune.config.load import read_published
from hubtune.config.schema import TuneConfig
from hubtune.hub.read import Resolved, check_access, resolve
from hubtune.hub.snapshot import download_fresh
from hubtune.pipeline.published import MOST_BYTES, parse_document
from hubtune.records import release
from hubtune.records.base import Progress, Record, sha256_file

_MOST_FAULTS = 5
_GONE = (errors.RepoNotFoundError, errors.RevisionNotFoundError)
# These are about this machine, this account, what may be run, or the network, and say nothing about the release.
_OURS = (
    errors.MissingExtraError,
    errors.RemoteCodeError,
    errors.DiskFullError,
    errors.HubError,
    MemoryError,
    errors.MemoryNeededError,
)
R = TypeVar("R", bound=Record)
T = TypeVar("T")
_MOST_CONFIG = 1 << 20
_DEEPEST = 40
_OPENING = (
    *(yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken),
    *(yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken),
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


class ContradictedError(errors.HubtuneError):
    """A claim is false."""


class UncheckedError(errors.HubtuneError):
    """A claim cannot be checked."""


def judged(name: str, check: Callable[[], str]) -> release.Claim:
    """Runs a check and returns its claim.

    Args:
        name: The claim's name.
        check: Returns what was confirmed, or raises: `ContradictedError` and `UncheckedError` as they say; an error of
            the Hub other than "not there" leaves the claim unchecked; anything else contradicts it, as documents that
            break the programs which read them do.
    """
    try:
        return release.Claim(name=name, status="confirmed", detail=check())
    except Exception as error:  # noqa: BLE001 - a forged document may raise anything, and the other claims go on
        return release.Claim(name=name, status=_status(error), detail=_words(error))


def refuse(faults: Sequence[str]) -> None:
    """Raises a contradiction that names the faults, unless there are none.

    Raises:
        ContradictedError: There are some.
    """
    if faults:
        raise ContradictedError(listed(faults))


def listed(texts: Sequence[str]) -> str:
    """Returns the first few texts as one text, with the number of further ones."""
    more = [f"and {len(texts) - _MOST_FAULTS} more"] if len(texts) > _MOST_FAULTS else []
    return "; ".join([*texts[:_MOST_FAULTS], *more])


def _status(error: Exception) -> release.Status:
    if isinstance(error, UncheckedError):
        return "unchecked"
    # torch's own error has to be told by its name: torch may not be installed.
    ours = isinstance(error, _OURS) and not isinstance(error, _GONE)
    return "unchecked" if ours or type(error).__name__ == "OutOfMemoryError" else "contradicted"


def _words(error: Exception) -> str:
    if not isinstance(error, errors.HubtuneError):
        line = (str(error).strip().splitlines() or [""])[0]
        return f"it cannot be read to its end ({type(error).__name__}: {line})"
    text = " ".join([error.message, listed(error.details)]).strip()
    told = error.hint and isinstance(error, (errors.MissingExtraError, errors.RemoteCodeError))
    return f"{text} {error.hint}" if told else text


Fault = ContradictedError | UncheckedError


@dataclass(frozen=True)
class Documents:
    """The documents of a release that can be read.

    Attributes:
        records: The manifest and the records, by their kind.
        config: The run's config; no file that it names was opened.
        card: The text of README.md.
        places: Path of each record that such a release has.
        faults: Path of each document that cannot be read, and why: it is not what it should be, or did not come.
    """

    records: Mapping[type[Record], Record]
    config: TuneConfig | None
    card: str | None
    places: Mapping[type[Record], str]
    faults: Mapping[str, Fault]

    @property
    def has_no_manifest(self) -> bool:
        """Whether there is no manifest that can be read."""
        return release.Manifest not in self.records

    @property
    def manifest(self) -> release.Manifest:
        """The manifest.

        Raises:
            ContradictedError: There is none that can be read, so that nothing which it would say is so.
            UncheckedError: It did not come.
        """
        found = self.records.get(release.Manifest)
        if not isinstance(found, release.Manifest):
            raise self.faults[release.MANIFEST]
        return found

    def need(self, kind: type[R]) -> R:
        """Returns a record.

        Raises:
            UncheckedError: It cannot be read, which contradicts the claim about records.
        """
        # Merged weights have a kind of probe of their own.
        for record in self.records.values():
            if isinstance(record, kind):
                return record
        path = next(path for known, path in self.places.items() if issubclass(known, kind))
        raise UncheckedError(self.faults[path].message)

    def find(self, kind: type[R]) -> R | None:
        """Returns a record that not every release has, or None if the manifest lists none; else see `need`."""
        return self.need(kind) if kind in self.places else None

    def need_config(self) -> TuneConfig:
        """Returns the config; see `need`."""
        if self.config is None:
            raise UncheckedError(self.faults[release.CONFIG].message)
        return self.config

    def need_card(self) -> str:
        """Returns the card.

        Raises:
            ContradictedError: There is none that can be read.
            UncheckedError: It did not come.
        """
        if self.card is None:
            raise self.faults[release.CARD]
        return self.card


def read_manifest(file: Path | None, lost: str | None) -> release.Manifest | Fault:
    """Returns the manifest, or why it cannot be read; `lost` is the reason if it was not downloaded."""
    try:
        return parse_document(release.Manifest, _bytes(file, lost, release.MANIFEST, MOST_BYTES), release.MANIFEST)
    except errors.HubtuneError as error:
        return _fault(error)


def read_documents(files: Mapping[str, Path], lost: Mapping[str, str], manifest: release.Manifest | Fault) -> Documents:
    """Reads every document.

    Args:
        files: Those that were downloaded.
        lost: Why others did not come.
        manifest: What `read_manifest` returned.
    """
    faults: dict[str, Fault] = {}

    def attempt(path: str, read: Callable[[bytes], T], most: int = MOST_BYTES) -> T | None:
        try:
            return read(_bytes(files.get(path), lost.get(path), path, most))
        except errors.HubtuneError as error:
            faults[path] = _fault(error)
            return None

    records: dict[type[Record], Record] = {}
    if isinstance(manifest, release.Manifest):
        records[release.Manifest] = manifest
    else:
        faults[release.MANIFEST] = manifest
    config, card = attempt(release.CONFIG, _config, _MOST_CONFIG), attempt(release.CARD, _text)
    expected = _expected(manifest, whole=config is not None and config.train.whole)
    for kind, path in expected.items():
        found = attempt(path, partial(parse_document, kind, name=path))
        if found is not None:
            records[kind] = found
    return Documents(records, config, card, expected, faults)


def _expected(manifest: release.Manifest | Fault, *, whole: bool) -> dict[type[Record], str]:
    if not isinstance(manifest, release.Manifest):
        return release.places("adapter", rated=False)
    return release.places(manifest.artifact, rated=release.record_name(release.RATED) in manifest.records, whole=whole)


def _bytes(file: Path | None, lost: str | None, path: str, most: int) -> bytes:
    if lost is not None:
        raise UncheckedError(lost)
    if file is None:
        what = ", so this is no release of hubtune" if path == release.MANIFEST else ""
        raise ContradictedError(f"there is no {path}{what}")
    if file.stat().st_size > most:
        raise ContradictedError(f"{path} is longer than the {most:,} bytes that are read of it")
    return file.read_bytes()


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ContradictedError(f"{release.CARD} is not text in UTF-8") from error


def _config(content: bytes) -> TuneConfig:
    try:
        text = content.decode()
        _check_plain(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContradictedError(f"{release.CONFIG} is not the plain YAML that hubtune writes") from error
    return read_published(text, release.CONFIG)


def _check_plain(text: str) -> None:
    """Refuses YAML that grows when it is read, by references, or that is nested without bound."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
            raise yaml.YAMLError("references and tags are not read")
        depth += isinstance(token, _OPENING)
        depth -= isinstance(token, _CLOSING)
        if depth > _DEEPEST:
            raise yaml.YAMLError("nested too deeply")


def _fault(error: errors.HubtuneError) -> Fault:
    if isinstance(error, ContradictedError | UncheckedError):
        return error
    return ContradictedError(" ".join([error.message, listed(error.details)]).strip())


@dataclass(frozen=True)
class Subject:
    """A release as its users get it.

    Attributes:
        requested: The revision that was asked for, once.
        commit: What it meant; everything was read at this commit.
        sizes: Every path in the repository, and its size in bytes.
        folder: Holds what was downloaded: the files that the manifest lists, and the documents.
        digests: Path of each downloaded file to the sha256 of its bytes.
        lost: Path of each file that could not be downloaded, and why.
        documents: What the release says of itself.
    """

    repo: str
    requested: str
    commit: str
    sizes: Mapping[str, int]
    folder: Path
    digests: Mapping[str, str]
    lost: Mapping[str, str]
    documents: Documents


def fetch_subject(repo: str, revision: str, folder: Path, progress: Progress) -> Subject:
    """Downloads a release into an empty folder.

    Nothing is fetched that the manifest does not list: it belongs to no release of hubtune, whatever it is.

    Raises:
        HubError: The repository or the revision cannot be read at all.
        DiskFullError: There is no room.
    """
    found = resolve(repo, "model", revision)
    if found.gated:
        check_access(repo, "model")
    download = _Download(repo, found.commit, folder)
    # A manifest of any length would be refused afterwards, so it does not have to come.
    if found.files.get(release.MANIFEST, MOST_BYTES + 1) <= MOST_BYTES:
        download.fetch(release.MANIFEST)
    manifest = _manifest(found, download)
    listed = manifest.files if isinstance(manifest, release.Manifest) else {}
    wanted = sorted(
        {release.CARD, release.CONFIG, *release.PLACES.values(), release.MERGE, *listed}
        & found.files.keys() - {release.MANIFEST}
    )
    with progress.task(f"Downloading {repo}", sum(found.files[path] for path in wanted), unit="bytes") as task:
        for path in wanted:
            download.fetch(path)
            task.advance(found.files[path], note=path)
    return Subject(
        repo=repo,
        requested=revision,
        commit=found.commit,
        sizes=found.files,
        folder=folder,
        digests={path: sha256_file(file) for path, file in download.files.items()},
        lost=download.lost,
        documents=read_documents(download.files, download.lost, manifest),
    )


@dataclass(frozen=True)
class _Download:
    """The files of a commit that came, each with its place on disk, and why others did not."""

    repo: str
    commit: str
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def fetch(self, path: str) -> None:
        try:
            self.files[path] = download_fresh(self.repo, self.commit, path, self.folder)
        except errors.HubError as error:
            self.lost[path] = error.message


def _manifest(found: Resolved, download: _Download) -> release.Manifest | Fault:
    if found.files.get(release.MANIFEST, 0) > MOST_BYTES:
        return ContradictedError(f"{release.MANIFEST} is longer than the {MOST_BYTES:,} bytes that are read of it")
    return read_manifest(download.files.get(release.MANIFEST), download.lost.get(release.MANIFEST))
