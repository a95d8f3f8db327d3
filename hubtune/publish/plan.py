"""The plan of a release: every file of the commit with its digest, known before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubtune import __version__
from hubtune.config.load import dump_config
from hubtune.config.schema import TuneConfig
from hubtune.errors import RecordError
from hubtune.records.base import sha256_bytes, sha256_file
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import EvaluationRecord
from hubtune.records.licenses import LicenseRecord
from hubtune.records.pins import PinSet
from hubtune.records.release import Manifest
from hubtune.records.rundir import RunDirectory
from hubtune.records.training import TrainingRecord

MANIFEST = "hubtune.json"
# What transformers loads a tokenizer and its chat template from. They are copied byte for byte, so that the published
# tokenizer is the one that the model was trained with.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True)
class ReleasePlan:
    """A release to be made.

    Attributes:
        files: Path in the repository to the content, or the local file that holds it.
        digests: Path in the repository to sha256, for every file.
        message: The commit's message.
    """

    repo: str
    tag: str
    artifact: str
    private: bool
    message: str
    files: dict[str, Path | bytes]
    digests: dict[str, str]


def plan_release(
    run: RunDirectory, config: TuneConfig, repo: str, base_folder: Path, card: str, beside: Mapping[str, bytes]
) -> ReleasePlan:
    """Collects what a release of `run` holds. The same run gives the same plan, to the byte.

    Args:
        run: A run with its records and its adapter.
        config: The run's config, with the tag, the message and the visibility to use.
        repo: Where the release goes.
        base_folder: The base model's snapshot, which holds the tokenizer.
        card: The text of README.md.
        beside: The licence files, the card's pictures, and a chat template where the config gave one: path to content.

    Raises:
        RecordError: A record or a file is missing, or the adapter is not the one that was trained.
    """
    training = run.read(TrainingRecord)
    pins = run.read(PinSet)
    for kind in (LicenseRecord, DataRecord, EvaluationRecord):
        run.read(kind)
    files: dict[str, Path | bytes] = {
        "README.md": card.encode(),
        "hubtune.lock": pins.to_json().encode(),
        **{name: base_folder / name for name in _TOKENIZER_FILES if (base_folder / name).is_file()},
        # After the base's own files: a chat template that the model was trained with takes the place of the base's.
        **beside,
        **{name: run.adapter_dir / name for name in training.files},
    }
    _check_adapter(run, training)
    digests = {path: _digest(content) for path, content in files.items()}
    tag = config.publish.tag
    manifest = Manifest(
        hubtune=__version__,
        repo=repo,
        tag=tag,
        artifact=config.publish.artifact,
        pins=pins,
        files=dict(sorted(digests.items())),
        config=sha256_bytes(dump_config(config).encode()),
        records={
            run.record_file(kind).name: sha256_file(run.record_file(kind))
            for kind in (PinSet, LicenseRecord, DataRecord, TrainingRecord, EvaluationRecord)
        },
        environment=training.environment,
    )
    files[MANIFEST] = manifest.to_json().encode()
    digests[MANIFEST] = _digest(files[MANIFEST])
    return ReleasePlan(
        repo=repo,
        tag=tag,
        artifact=config.publish.artifact,
        private=config.publish.private,
        message=config.publish.message or f"Release {tag}",
        files=files,
        digests=digests,
    )


def _check_adapter(run: RunDirectory, training: TrainingRecord) -> None:
    hint = f"Train again: hubtune train {run.path}"
    missing = [name for name in training.files if not (run.adapter_dir / name).is_file()]
    if missing:
        raise RecordError(f"{', '.join(missing)} is not in {run.adapter_dir} any more.", hint=hint)
    changed = [name for name, digest in training.files.items() if sha256_file(run.adapter_dir / name) != digest]
    if changed:
        raise RecordError(f"{', '.join(changed)} in {run.adapter_dir} changed after the training.", hint=hint)


def _digest(content: Path | bytes) -> str:
    return sha256_bytes(content) if isinstance(content, bytes) else sha256_file(content)
