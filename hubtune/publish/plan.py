"""The plan of a release: every file of the commit with its digest, known before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubtune import __version__
from hubtune.config.schema import TuneConfig
from hubtune.errors import RecordError
from hubtune.hub.repo_files import require_safe_names
from hubtune.records import release
from hubtune.records.base import PinSet, sha256_bytes, sha256_file
from hubtune.records.ratings import RatingsRecord
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import RunDirectory


@dataclass(frozen=True)
class ReleasePlan:
    """A release to be made.

    Attributes:
        files: Path in the repository to the content, or the local file that holds it.
        digests: Path in the repository to sha256, for every file.
        message: The commit's message.
        branch: Where the commit goes.
    """

    repo: str
    tag: str
    artifact: release.Artifact
    private: bool
    message: str
    files: dict[str, Path | bytes]
    digests: dict[str, str]
    branch: str = "main"


def plan_release(
    run: RunDirectory, config: TuneConfig, repo: str, base_folder: Path, made: Mapping[str, bytes]
) -> ReleasePlan:
    """Collects what a release of `run` holds. The same run gives the same plan, to the byte.

    Args:
        run: A run with its records and its adapter.
        config: The run's config, with the tag, the message and the visibility to use.
        repo: Where the release goes.
        base_folder: The base model's snapshot, which holds the tokenizer.
        made: What was made for the release: README.md, the license files, the card's pictures, and a chat template if
            the config gives one. Path to content.

    Raises:
        RecordError: A record or a file is missing, or the adapter is not the one that was trained.
    """
    training = run.read(TrainingRecord)
    pins = run.read(PinSet)
    artifact = config.publish.artifact
    kinds = release.places(artifact, whole=training.whole, rated=run.has(RatingsRecord))
    for kind in kinds:
        run.read(kind)
    records = {place: run.record_file(kind).read_bytes() for kind, place in kinds.items()}
    written_config = release.published_config(config).encode()
    files: dict[str, Path | bytes] = {
        release.CARD: made[release.CARD],
        release.CONFIG: written_config,
        **records,
        **({} if training.added_tokens else _tokenizer(base_folder)),
        **(_trained(run, training) if artifact == "adapter" or training.whole else _merged(run, training)),
        # After the base's own files: a chat template that the model was trained with takes the place of the base's.
        **made,
    }
    require_safe_names(repo, files)
    digests = {path: _digest(content) for path, content in files.items()}
    tag = config.publish.tag
    manifest = release.Manifest(
        hubtune=__version__,
        repo=repo,
        tag=tag,
        artifact=artifact,
        pins=pins,
        files=dict(sorted(digests.items())),
        config=sha256_bytes(written_config),
        records={release.record_name(place): digests[place] for place in kinds.values()},
        environment=training.environment,
    )
    files[release.MANIFEST] = manifest.to_json().encode()
    digests[release.MANIFEST] = _digest(files[release.MANIFEST])
    return ReleasePlan(
        repo=repo,
        tag=tag,
        artifact=artifact,
        private=config.publish.private,
        message=config.publish.message or f"Release {tag}",
        files=files,
        digests=digests,
        branch=config.publish.branch,
    )


def _tokenizer(base_folder: Path) -> dict[str, Path]:
    """Returns the base's tokenizer, which the model was trained with; one with new tokens lies next to the weights."""
    return {name: base_folder / name for name in release.TOKENIZER_FILES if (base_folder / name).is_file()}


def _trained(run: RunDirectory, training: TrainingRecord) -> dict[str, Path | bytes]:
    folder = run.trained_dir(training)
    return _unchanged(folder, training.files, since="the training", hint=_train_again(run))


def _merged(run: RunDirectory, training: TrainingRecord) -> dict[str, Path | bytes]:
    """Returns the merged model's files, with the generation settings of the tuned model in place of the base's."""
    merged = run.read(release.MergeRecord)
    files = _unchanged(
        run.model_dir, merged.files, since="the merge", hint=f"Delete {run.model_dir}, then publish again."
    )
    settings = {name: digest for name, digest in training.files.items() if name == release.GENERATION_CONFIG}
    return {**files, **_unchanged(run.adapter_dir, settings, since="the training", hint=_train_again(run))}


def _train_again(run: RunDirectory) -> str:
    return f"Train again: hubtune train {run.path}"


def _unchanged(folder: Path, recorded: Mapping[str, str], *, since: str, hint: str) -> dict[str, Path | bytes]:
    """Returns the recorded files of a folder.

    Raises:
        RecordError: One is missing, or is not what was recorded.
    """
    missing = [name for name in recorded if not (folder / name).is_file()]
    if missing:
        raise RecordError(f"{', '.join(missing)} is no longer in {folder}.", hint=hint)
    changed = [name for name, digest in recorded.items() if sha256_file(folder / name) != digest]
    if changed:
        raise RecordError(f"{', '.join(changed)} in {folder} changed after {since}.", hint=hint)
    return {name: folder / name for name in recorded}


def _digest(content: Path | bytes) -> str:
    return sha256_bytes(content) if isinstance(content, bytes) else sha256_file(content)
