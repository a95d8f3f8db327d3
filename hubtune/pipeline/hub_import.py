"""Uploads a local model folder, data folder, data file or GGUF file to the Hub, through the ordinary client."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hubtune.config.fields import check_target_repo_id
from hubtune.errors import ConfigError
from hubtune.files import scratch_folder
from hubtune.hub.client import current_token
from hubtune.hub.read import repo_url, resolve
from hubtune.hub.write import CommitDraft, commit, create_repo
from hubtune.pipeline.context import require_train
from hubtune.publish.preflight import refuse_secrets
from hubtune.records.base import Commit, Progress, Record, RepoType, sha256_bytes, sha256_file

_GGUF_CARD = """---
{license}library_name: transformers
pipeline_tag: text-generation
---

# {title}

These weights were dequantized to bf16 from `{file}`, which is quantized to {quantisation}. They are not the original
release: dequantization does not restore the precision that quantization lost.

`hubtune hub import` made this repository.
"""


class ImportRecord(Record):
    """What an import made."""

    repo: str
    type: RepoType
    commit: Commit
    url: str
    files: dict[str, str]


@dataclass(frozen=True)
class ImportTarget:
    """The target repository of an import, and the card to upload if the source has none.

    Attributes:
        repo: The repository's id; it is created unless it exists.
        repo_type: Model or dataset.
        card: The text of README.md, if the source has none.
        license_id: The license to state on the card that is written for a GGUF file.
    """

    repo: str
    repo_type: RepoType = "model"
    card: str | None = None
    license_id: str | None = None


def import_source(source: Path, target: ImportTarget, progress: Progress) -> ImportRecord:
    """Uploads `source` as one commit; files that are already in the repository are not uploaded again.

    Args:
        source: A folder, a data file, or a GGUF file, which is dequantized first.
        target: Where to.
        progress: Reports each step.

    Raises:
        ConfigError: There is nothing to import at `source`, or the target is not an id.
        ModelError: The GGUF file cannot be converted.
        SecretFoundError: A file holds a token, a key or a password; nothing was sent.
        HubError: The Hub refused, or cannot be reached.
    """
    try:
        check_target_repo_id(target.repo)
    except ValueError as error:
        raise ConfigError(f"{error}.", hint="Give the repository as namespace/name.") from error
    if not source.exists():
        raise ConfigError(f"There is nothing at {source}.", hint="Give a folder, a data file or a GGUF file.")
    with scratch_folder() as scratch:
        if source.suffix == ".gguf":
            files = _convert(source, scratch, target, progress)
        else:
            files = _collect(source)
            if target.card is not None:
                files.setdefault("README.md", target.card.encode())
        refuse_secrets(files, current_token(), source=str(source))
        return _upload(files, target, f"Import {source.name}", progress)


def _convert(source: Path, scratch: Path, target: ImportTarget, progress: Progress) -> dict[str, Path | bytes]:
    require_train("Converting a GGUF file")
    from hubtune.models.gguf import convert_gguf

    with progress.task(f"Dequantizing {source.name}", 1) as task:
        quantisation = convert_gguf(source, scratch)
        task.advance()
    files = _collect(scratch)
    stated = f"license: {target.license_id}\n" if target.license_id else ""
    title = target.repo.rpartition("/")[2]
    card = target.card or _GGUF_CARD.format(license=stated, title=title, file=source.name, quantisation=quantisation)
    files["README.md"] = card.encode()
    return files


def _collect(source: Path) -> dict[str, Path | bytes]:
    if source.is_file():
        return {source.name: source}
    found: dict[str, Path | bytes] = {
        path.relative_to(source).as_posix(): path
        for path in sorted(source.rglob("*"))
        if (path.is_symlink() or path.is_file())
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
    }
    if not found:
        raise ConfigError(f"{source} holds no files.", hint="Give a folder with the model's or the dataset's files.")
    _refuse_links_out(source, found)
    return found


def _refuse_links_out(source: Path, paths: Iterable[str]) -> None:
    """Refuses links that would send files from elsewhere on this disk; those within the folder are followed.

    A snapshot of the Hub's cache is a folder of links to the `blobs` beside its parent, and can be imported.

    Raises:
        ConfigError: A link leads out of the folder, to a folder or to nothing.
    """
    root = source.resolve()
    blobs = root.parent.parent / "blobs" if root.parent.name == "snapshots" else None
    for path in paths:
        if not (source / path).is_symlink():
            continue
        target = (source / path).resolve()
        inside = target.is_relative_to(root) or (blobs is not None and target.parent == blobs)
        if not inside or not target.is_file():
            raise ConfigError(
                f"{source / path} is a link to {target}, which is not a file of this folder.",
                hint="Put a copy of the file in its place, or remove the link.",
            )


def _upload(files: dict[str, Path | bytes], target: ImportTarget, message: str, progress: Progress) -> ImportRecord:
    repo, repo_type = target.repo, target.repo_type
    with progress.task(f"Uploading {len(files)} files to {repo}", 2) as task:
        create_repo(repo, repo_type)
        parent = resolve(repo, repo_type, "main").commit
        task.advance(note="repository exists")
        made = commit(repo, CommitDraft(files, parent, message), repo_type)
        task.advance(note=f"commit {made[:7]}")
    return ImportRecord(
        repo=repo,
        type=repo_type,
        commit=made,
        url=repo_url(repo, made, repo_type),
        files={
            path: sha256_bytes(content) if isinstance(content, bytes) else sha256_file(content)
            for path, content in files.items()
        },
    )
