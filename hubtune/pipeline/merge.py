"""Merges an adapter, published or of a run, into the full-precision base model at the commit that it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.fields import check_repo_id, is_commit
from hubtune.errors import ConfigError, MergeError, ModelError, RecordError
from hubtune.files import require_writable
from hubtune.hub.read import resolve
from hubtune.hub.snapshot import cached, download_size, fetch
from hubtune.pin import check_safetensors
from hubtune.pipeline.context import require_train
from hubtune.pipeline.published import require_own_inputs
from hubtune.records.base import Pin, PinSet, Progress, new_folder, require_empty, sha256_file
from hubtune.records.release import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Fidelity, MergedSource, MergeRecord
from hubtune.records.results import TrainingRecord
from hubtune.records.rundir import RunDirectory

if TYPE_CHECKING:
    from hubtune.models.lora_merge import Merged

_QLORA = "qlora"


def merge_published(
    repo: str, revision: str, folder: Path, progress: Progress, *, base_revision: str | None = None
) -> MergeRecord:
    """Merges a published adapter into its base model and puts the whole model into `folder`.

    Args:
        repo: The adapter's repository.
        revision: Its tag, branch or commit, which is asked for once; the base model has a revision of its own.
        folder: Missing or empty; it holds the merged model, or nothing when the merge is refused.
        progress: Reports what is fetched, written and compared.
        base_revision: The base model's revision, for an adapter whose config does not name a commit.

    Raises:
        MergeError: It is no adapter, does not fit its base, or the merged model strays from the two.
        ConfigError: The base's commit is not known, or `base_revision` contradicts the adapter.
        RecordError: `folder` holds something.
        ReleaseError: The documents of the release name different inputs.
        HubError: A repository is not available.
    """
    require_train("Merging")
    from hubtune.models.adapter_changes import stated_base

    require_empty(folder)
    require_writable(folder)
    adapter, size = _pin(repo, revision)
    adapter_folder = _fetch(adapter, size, progress)
    base, size = _pin_base(adapter, *stated_base(adapter_folder, f"{adapter.repo}@{adapter.commit}"), base_revision)
    base_folder = _fetch(base, size, progress)
    try:
        outcome = _merge(_Sources(base_folder, adapter_folder), folder, progress)
    except ModelError as error:
        said = f"Merging {adapter.repo}@{adapter.commit}: {error.message}"
        raise type(error)(said, hint=error.hint, details=error.details) from error
    return _record(base, adapter, adapter_folder, outcome)


def merge_run(run: RunDirectory, progress: Progress, prompts: Sequence[Sequence[int]] | None = None) -> MergeRecord:
    """Merges a run's adapter into its pinned base, puts the model into the run's `model` folder and writes merge.json.

    Args:
        run: A run with a training record and its adapter.
        progress: Reports what is written and compared.
        prompts: Token ids to compare the models on, best of held-out rows; None for `hubtune.models.release_model`.

    Raises:
        MergeError: The adapter cannot be merged, or the merged model strays; an earlier one is kept then.
        RecordError: A record or the adapter is missing, or the adapter is not the one that was trained.
    """
    require_train("Merging")
    training, pins = run.read(TrainingRecord), run.read(PinSet)
    files = {name: run.adapter_dir / name for name in training.files}
    changed = [name for name, path in files.items() if not path.is_file() or sha256_file(path) != training.files[name]]
    if changed:
        raise RecordError(
            f"{', '.join(changed)} in {run.adapter_dir} is not what the training wrote.",
            hint=f"Train again: hubtune train {run.path}",
        )
    quantized = training.precision if training.method == _QLORA else None
    sources = _Sources(cached(pins.base), run.adapter_dir, quantized)
    outcome = _merge(sources, run.model_dir, progress, prompts, replace=True)
    record = _record(pins.base, None, run.adapter_dir, outcome).model_copy(
        update={
            "upstream": run.digests("pins.json", "training.json"),
            "trained_against": "4-bit base" if quantized else "full-precision base",
        }
    )
    run.write(record)
    run.event("merge", event="merged", kl=record.fidelity.kl, max_difference=record.fidelity.max_difference)
    return record


def _pin(repo: str, revision: str) -> tuple[Pin, int]:
    """Returns the adapter's pin, and how many bytes it takes to fetch it."""
    found = resolve(repo, "model", revision)
    missing = [name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if name not in found.files]
    if missing:
        raise MergeError(
            f"{repo} at {found.commit} has no {' and no '.join(missing)}, so it holds no adapter that can be merged.",
            hint="Name a repository and revision that hold a LoRA adapter in safetensors.",
        )
    require_own_inputs(repo, found.commit, found.files)
    pin = Pin(
        repo=repo, type="model", requested=revision, commit=found.commit, license=found.license, gated=found.gated
    )
    return pin, download_size("model", found.files)


def _pin_base(adapter: Pin, base: str | None, stated: str | None, given: str | None) -> tuple[Pin, int]:
    """Returns the base model's pin; its revision comes from the adapter's config, never from the adapter's own."""
    try:
        check_repo_id(base or "")
    except ValueError:
        raise MergeError(
            f"{ADAPTER_CONFIG} of {adapter.repo} names {base!r} as its base model, which is not the id of a "
            "repository.",
            hint="Ask its author to name the base model by its id on the Hub.",
        ) from None
    assert base is not None, "an empty id was refused"
    pinned = stated if stated is not None and is_commit(stated) else None
    if pinned is None and given is None:
        raise ConfigError(
            f"{ADAPTER_CONFIG} of {adapter.repo} does not name the commit of {base} that the adapter was trained on "
            f"(its revision is {stated or 'missing'}); another one gives another model.",
            hint="If you know it, give it: --base-revision COMMIT",
        )
    found = resolve(base, "model", pinned or str(given))
    if pinned is not None and given is not None and resolve(base, "model", given).commit != pinned:
        raise ConfigError(
            f"The adapter was trained on {base} at {pinned}, and --base-revision {given} is another commit.",
            hint="Leave --base-revision out.",
        )
    check_safetensors(base, found.commit, found.files)
    requested = pinned or str(given)
    pin = Pin(
        repo=base, type="model", requested=requested, commit=found.commit, license=found.license, gated=found.gated
    )
    return pin, download_size("model", found.files)


def _fetch(pin: Pin, size: int, progress: Progress) -> Path:
    with progress.task(f"Fetching {pin.repo}", size, unit="bytes") as task:
        return fetch(pin, lambda count: task.advance(count))


@dataclass(frozen=True)
class _Sources:
    """What is merged: folders of the base and the adapter, and for QLoRA the precision of the training."""

    base: Path
    adapter: Path
    quantized: str | None = None


@dataclass(frozen=True)
class _Outcome:
    merged: "Merged"
    fidelity: Fidelity
    quantized: Fidelity | None


def _merge(
    sources: _Sources,
    target: Path,
    progress: Progress,
    prompts: Sequence[Sequence[int]] | None = None,
    *,
    replace: bool = False,
) -> _Outcome:
    """Merges and compares beside `target`, which gets the model only if it is faithful."""
    from hubtune.models.fidelity import AdaptedBase, measure_fidelity, require_faithful
    from hubtune.models.lora_merge import write_merged
    from hubtune.models.pretrained import load_tokenizer
    from hubtune.models.release_model import encode_prompts

    base, adapter, quantized = sources.base, sources.adapter, sources.quantized
    with new_folder(target, replace=replace) as folder:
        merged = write_merged(base, adapter, folder, progress)
        texts = prompts or encode_prompts(load_tokenizer(folder, "the merged model"))
        measured = [
            measure_fidelity(
                AdaptedBase(base, adapter, merged.vocabulary, in_4_bit), folder, texts, merged.dtype, progress
            )
            for in_4_bit in ((None, quantized) if quantized else (None,))
        ]
        require_faithful(measured[0])
    return _Outcome(merged, measured[0], measured[1] if quantized else None)


def _record(base: Pin, adapter: Pin | None, adapter_folder: Path, outcome: _Outcome) -> MergeRecord:
    merged = outcome.merged
    return MergeRecord(
        upstream={},
        base=MergedSource(repo=base.repo, commit=base.commit),
        adapter=None if adapter is None else MergedSource(repo=adapter.repo, commit=adapter.commit),
        adapter_files={name: sha256_file(adapter_folder / name) for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)},
        trained_against="not stated",
        dtype=merged.dtype,
        shards=merged.shards,
        changed_tensors=merged.changed,
        tied=merged.tied,
        untied=merged.untied,
        vocabulary=merged.vocabulary,
        files=merged.files,
        fidelity=outcome.fidelity,
        fidelity_quantized=outcome.quantized,
    )
