"""Fetches a published release with all that it takes to use it: the adapter or the model, and an adapter's base."""

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from hubtune.config.fields import check_repo_id, is_commit
from hubtune.config.schema import BaseModelConfig
from hubtune.errors import ReleaseError
from hubtune.hub.contents import read_files
from hubtune.hub.read import check_access, resolve
from hubtune.hub.snapshot import download_size, fetch
from hubtune.models.adapter_settings import read_settings
from hubtune.models.base_facts import read_facts
from hubtune.models.remote_code import ON_COMMAND, brings_code, check_code, permit, refusal
from hubtune.models.stated import check_config, refuse_adapter_beside
from hubtune.pin.files import check_safetensors
from hubtune.pin.pinning import resolve_pin
from hubtune.pipeline.published import require_own_inputs
from hubtune.records.model_files import CONFIG
from hubtune.records.pins import Pin
from hubtune.records.progress import Progress

Artifact = Literal["adapter", "merged"]
_ADAPTER = frozenset({"adapter_config.json", "adapter_model.safetensors"})


@dataclass(frozen=True)
class FetchedRelease:
    """A release at one commit, on disk with its base.

    Attributes:
        commit: What the revision meant.
        folder: The snapshot of the release.
        artifact: What it holds.
        base_repo: The base model of an adapter; None for merged weights, as are the next two.
        base_commit: The commit of it that the adapter's config names.
        base_folder: The snapshot of it.
    """

    repo: str
    commit: str
    folder: Path
    artifact: Artifact
    base_repo: str | None = None
    base_commit: str | None = None
    base_folder: Path | None = None


def fetch_release(
    repo: str, revision: str, progress: Progress, *, allow_remote_code: str | None = None
) -> FetchedRelease:
    """Resolves a revision of a release once, and fetches the files of that commit and those of its base.

    No pickle is fetched, no code but what is allowed, and every file's digest is checked.

    Args:
        repo: A model repository.
        revision: A tag, a branch or a commit.
        progress: Told of the fetching.
        allow_remote_code: The commit of the base whose Python code may be run; None for none.

    Raises:
        HubError: The release or its base cannot be had.
        RemoteCodeError: Its base needs code that is not allowed, or it is a whole model and needs any.
        ModelError: It, or its base, holds an adapter beside a whole model.
        ReleaseError: It holds neither an adapter nor a model, its adapter does not say on which commit it stands, or
            its documents name different inputs.
        NoSafetensorsError: Its weights, or its base's, are in another format alone.
    """
    found = resolve(repo, "model", revision)
    if found.gated:
        check_access(repo, "model")
    artifact = _artifact(repo, found.commit, found.files)
    require_own_inputs(repo, found.commit, found.files)
    pin = Pin(
        repo=repo,
        type="model",
        requested=revision,
        commit=found.commit,
        license=found.license,
        gated=found.gated,
    )
    folder = _fetch(pin, download_size("model", found.files), progress)
    if artifact == "merged":
        if brings_code(folder):
            raise refusal(f"{repo} at {found.commit}", None)
        return FetchedRelease(repo, found.commit, folder, artifact)
    base = _base_of(repo, found.commit, folder)
    base_pin, _ = resolve_pin(base, None, progress)
    base_folder = fetch_base(base_pin, progress, allow_remote_code)
    return FetchedRelease(repo, found.commit, folder, artifact, base_pin.repo, base_pin.commit, base_folder)


def fetch_base(pin: Pin, progress: Progress, allow_remote_code: str | None) -> Path:
    """Fetches the base of a release; where its Python code is needed and allowed, that too, to be run.

    Raises:
        HubError: It cannot be had.
        RemoteCodeError: It needs code that is not allowed.
        ModelError: It holds an adapter beside the model, or its config names kernels of another repository.
    """
    found = resolve(pin.repo, "model", pin.commit)
    if found.gated:
        check_access(pin.repo, "model")
    files = found.files
    check_safetensors(pin.repo, pin.commit, files)
    refuse_adapter_beside(files, f"{pin.repo} at {pin.commit}")
    if CONFIG in files:
        facts = read_facts(read_files(pin.repo, "model", pin.commit, [CONFIG])[CONFIG], pin.repo)
        check_config(facts, pin.repo)
        check_code(facts, pin.repo, pin.commit, allow_remote_code, ON_COMMAND, files)
    code = allow_remote_code is not None
    folder = _fetch(pin, download_size("model", files, code=code), progress, code=code)
    permit(folder, pin.repo, pin.commit, allow_remote_code, ON_COMMAND)
    return folder


def _fetch(pin: Pin, size: int, progress: Progress, *, code: bool = False) -> Path:
    with progress.task(f"Fetching {pin.repo}", size, unit="bytes") as task:
        return fetch(pin, lambda count: task.advance(count), code=code)


def _artifact(repo: str, commit: str, files: Collection[str]) -> Artifact:
    if not {"adapter_config.json", "config.json"}.isdisjoint(files):
        check_safetensors(repo, commit, files)
    # Where there are both, transformers and peft load the adapter too.
    if _ADAPTER.issubset(files):
        return "adapter"
    if CONFIG in files and any(fnmatch(name, "model*.safetensors") for name in files):
        refuse_adapter_beside(files, f"{repo} at {commit}")
        return "merged"
    raise ReleaseError(
        f"{repo} at {commit} holds neither an adapter nor a model.",
        hint="A release has adapter_config.json with adapter_model.safetensors, or config.json with model.safetensors.",
    )


def _base_of(repo: str, commit: str, folder: Path) -> BaseModelConfig:
    hint = "Ask its author for a release whose adapter_config.json names the base's id and, as `revision`, its commit."
    settings = read_settings(folder, f"{repo}@{commit}", ReleaseError)
    revision = settings.revision
    try:
        base = check_repo_id(settings.base_model_name_or_path)
    except ValueError as error:
        raise ReleaseError(f"The adapter in {repo} at {commit} names no base on the Hub: {error}.", hint=hint) from None
    if not is_commit(str(revision)):
        raise ReleaseError(
            f"The adapter in {repo} at {commit} does not pin its base {base} to a commit: its revision is "
            f"{revision!r}.",
            hint=hint,
        )
    return BaseModelConfig(repo=base, revision=str(revision))
