"""The release that is verified: every file that its manifest lists, downloaded at one commit, and what they say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubtune.errors import HubError
from hubtune.hub.fresh import download_fresh
from hubtune.hub.read import Resolved, check_access, resolve
from hubtune.pipeline.published import MOST_BYTES
from hubtune.pipeline.verifying.documents import Documents, Fault, read_documents, read_manifest
from hubtune.pipeline.verifying.outcome import ContradictedError
from hubtune.records.base import sha256_file
from hubtune.records.progress import Progress
from hubtune.records.published import CARD, CONFIG, MANIFEST, MERGE, PLACES
from hubtune.records.release import Manifest


@dataclass(frozen=True)
class Subject:
    """A release as a consumer gets it.

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
    files: dict[str, Path] = {}
    lost: dict[str, str] = {}
    # A manifest of any length would be refused afterwards, so it does not have to come.
    if found.files.get(MANIFEST, MOST_BYTES + 1) <= MOST_BYTES:
        _download(repo, found.commit, MANIFEST, folder, files, lost)
    manifest = _manifest(found, files, lost)
    listed = manifest.files if isinstance(manifest, Manifest) else {}
    wanted = sorted({CARD, CONFIG, *PLACES.values(), MERGE, *listed} & found.files.keys() - {MANIFEST})
    with progress.task(f"Downloading {repo}", sum(found.files[path] for path in wanted), unit="bytes") as task:
        for path in wanted:
            _download(repo, found.commit, path, folder, files, lost)
            task.advance(found.files[path], note=path)
    return Subject(
        repo=repo,
        requested=revision,
        commit=found.commit,
        sizes=found.files,
        folder=folder,
        digests={path: sha256_file(file) for path, file in files.items()},
        lost=lost,
        documents=read_documents(files, lost, manifest),
    )


def _manifest(found: Resolved, files: Mapping[str, Path], lost: Mapping[str, str]) -> Manifest | Fault:
    if found.files.get(MANIFEST, 0) > MOST_BYTES:
        return ContradictedError(f"{MANIFEST} is longer than the {MOST_BYTES:,} bytes that are read of it")
    return read_manifest(files.get(MANIFEST), lost.get(MANIFEST))


def _download(repo: str, commit: str, path: str, folder: Path, files: dict[str, Path], lost: dict[str, str]) -> None:
    try:
        files[path] = download_fresh(repo, commit, path, folder)
    except HubError as error:
        lost[path] = error.message
