"""Downloads files of a repository past every cache, to see the bytes that a first-time consumer would get."""

from pathlib import Path, PurePosixPath

from huggingface_hub import hf_hub_download

from hubtune.errors import HubError
from hubtune.files import file_errors
from hubtune.hub.translate import hub_errors


def download_fresh(repo: str, commit: str, path: str, folder: Path) -> Path:
    """Downloads one file of a model repository below `folder`, and returns where it lies.

    Raises:
        HubError: It cannot be had, arrived in part, or has a name that would lead out of the folder.
        DiskFullError: There is no room for it.
    """
    parts = PurePosixPath(path).parts
    # The client keeps notes of its own in .cache.
    if path.startswith("/") or "\\" in path or not path.isprintable() or {"..", ".cache"}.intersection(parts):
        raise HubError(
            f"{repo} holds a file called {path!r}, which would be written to another folder, so it is not downloaded.",
            hint="Choose another repository or revision.",
        )
    with file_errors(folder), hub_errors(repo, commit):
        try:
            return Path(hf_hub_download(repo, path, revision=commit, local_dir=folder, force_download=True))
        except OSError as error:
            # What the client raises where fewer bytes came than were announced has no class of its own.
            if error.errno is not None or "Consistency check failed" not in str(error):
                raise
            raise HubError(
                f"{path} of {repo} arrived with another size than the Hub announced.", hint="Try again."
            ) from error
