"""What a repository holds at a commit: each file's sha256, from the bytes themselves or from their content address."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.hf_api import RepoFile

from hubtune.hub.translate import hub_errors
from hubtune.records.base import sha256_file


def digests_at(repo: str, commit: str, wanted: Collection[str]) -> dict[str, str]:
    """Returns the sha256 of each of the files `wanted` that the repository holds at `commit`.

    Small files are downloaded and hashed. A large file is stored by its sha256, which is part of the commit.

    Raises:
        HubError: The repository cannot be read.
    """
    with hub_errors(repo, commit), tempfile.TemporaryDirectory() as folder:
        found = {}
        for entry in HfApi().list_repo_tree(repo, recursive=True, revision=commit):
            if not isinstance(entry, RepoFile) or entry.path not in wanted:
                continue
            if entry.lfs is not None:
                found[entry.path] = entry.lfs.sha256
            else:
                found[entry.path] = sha256_file(
                    Path(hf_hub_download(repo, entry.path, revision=commit, local_dir=folder))
                )
    return found


def read_file(repo: str, commit: str, path: str) -> bytes | None:
    """Returns the content of one file at a commit; None where there is no such file."""
    with hub_errors(repo, commit), tempfile.TemporaryDirectory() as folder:
        api = HfApi()
        if not api.file_exists(repo, path, revision=commit):
            return None
        return Path(api.hf_hub_download(repo, path, revision=commit, local_dir=folder)).read_bytes()
