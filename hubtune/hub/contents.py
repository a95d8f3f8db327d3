"""What a repository holds at a commit: each file's sha256, from the bytes themselves or from their content address."""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.hf_api import RepoFile

from hubtune.hub.translate import hub_errors
from hubtune.records.base import disk_errors, sha256_file
from hubtune.records.pins import RepoType


def digests_at(repo: str, commit: str, wanted: Collection[str], *, download: bool = False) -> dict[str, str]:
    """Returns the sha256 of each of the files `wanted` that the repository holds at `commit`.

    Args:
        repo: A model repository.
        commit: 40 hexadecimal digits.
        wanted: Paths in the repository.
        download: Hash the bytes of every file as a consumer gets them. Else those of small files alone; a large one is
            stored by its sha256, which is part of the commit.

    Raises:
        HubError: The repository cannot be read.
    """
    with hub_errors(repo, commit), tempfile.TemporaryDirectory() as folder, disk_errors(Path(folder)):
        found = {}
        for entry in HfApi().list_repo_tree(repo, recursive=True, revision=commit):
            if not isinstance(entry, RepoFile) or entry.path not in wanted:
                continue
            if entry.lfs is not None and not download:
                found[entry.path] = entry.lfs.sha256
            else:
                path = Path(hf_hub_download(repo, entry.path, revision=commit, local_dir=folder))
                found[entry.path] = sha256_file(path)
                path.unlink()
    return found


def differences(repo: str, commit: str, digests: Mapping[str, str], *, download: bool = False) -> list[str]:
    """Names the files that the repository lacks or holds with other content at a commit.

    Args:
        repo: A model repository.
        commit: 40 hexadecimal digits.
        digests: Path in the repository to the sha256 that is expected.
        download: As in `digests_at`.
    """
    found = digests_at(repo, commit, digests, download=download)
    return [
        f"{path}: {'missing' if path not in found else f'sha256 {found[path]} instead of {digest}'}"
        for path, digest in sorted(digests.items())
        if found.get(path) != digest
    ]


def changed_files(repo: str, before: str, after: str) -> set[str]:
    """Returns the paths whose content differs between two commits, or that only one of them has; fetches no content.

    Raises:
        HubError: The repository cannot be read.
    """
    with hub_errors(repo, after):
        first, second = (
            {
                (entry.path, entry.blob_id)
                for entry in HfApi().list_repo_tree(repo, recursive=True, revision=commit)
                if isinstance(entry, RepoFile)
            }
            for commit in (before, after)
        )
        return {path for path, _ in first ^ second}


def read_file(repo: str, commit: str, path: str) -> bytes | None:
    """Returns the content of one file at a commit; None where there is no such file."""
    with hub_errors(repo, commit), tempfile.TemporaryDirectory() as folder:
        api = HfApi()
        if not api.file_exists(repo, path, revision=commit):
            return None
        return Path(api.hf_hub_download(repo, path, revision=commit, local_dir=folder)).read_bytes()


def read_files(repo: str, repo_type: RepoType, commit: str, paths: Collection[str]) -> dict[str, bytes]:
    """Returns the content of some files, all of which the repository holds at a commit.

    Raises:
        HubError: They cannot be had.
    """
    with hub_errors(repo, commit), tempfile.TemporaryDirectory() as folder, disk_errors(Path(folder)):
        return {
            path: Path(hf_hub_download(repo, path, repo_type=repo_type, revision=commit, local_dir=folder)).read_bytes()
            for path in paths
        }
