"""Reads the documents of a release: its manifest, its config and its records, all at one commit of the Hub."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from hubtune.config.fields import check_repo_id, is_commit
from hubtune.config.load import read_published
from hubtune.config.schema import BaseModelConfig, Input, TuneConfig
from hubtune.documents import parse_json_object
from hubtune.errors import ConfigError, RecordError, ReleaseError
from hubtune.hub.read import check_access, resolve
from hubtune.hub.repo_files import read_files
from hubtune.hub.snapshot import download_size, fetch
from hubtune.models.adapter_settings import read_settings
from hubtune.models.base_facts import read_facts
from hubtune.models.config_files import check_config, refuse_adapter_beside
from hubtune.models.remote_code import ON_COMMAND, CodeConsent, brings_code, check_code, permit, refusal
from hubtune.pin import check_safetensors, resolve_pin
from hubtune.records import release
from hubtune.records.base import LicenseRecord, Pin, PinSet, Progress, Record
from hubtune.records.data import DataRecord
from hubtune.records.ratings import RatingsRecord
from hubtune.records.results import EvaluationRecord, ProbeRecord, TrainingRecord

R = TypeVar("R", bound=Record)

MOST_BYTES = 4 << 20
"""No more of a document is read. Those of releases with thousands of logged losses have a tenth of that."""


@dataclass(frozen=True)
class PublishedRelease:
    """One release, as it describes itself.

    Attributes:
        commit: The commit that everything was read at.
        card: The text of README.md.
        merge: For merged weights, how they were merged.
        ratings: What people preferred; None if nobody rated.
        content: Path to content of every document that was read, to the byte.
    """

    repo: str
    commit: str
    manifest: release.Manifest
    config: TuneConfig
    card: str
    pins: PinSet
    licenses: LicenseRecord
    data: DataRecord
    training: TrainingRecord
    evaluation: EvaluationRecord
    probe: ProbeRecord
    merge: release.MergeRecord | None
    ratings: RatingsRecord | None
    content: dict[str, bytes]


def read_release(repo: str, revision: str) -> PublishedRelease:
    """Reads the documents of a release; nothing is checked but that each is such a document.

    Args:
        repo: A model repository.
        revision: A tag, a branch or a commit; it is asked for once.

    Raises:
        HubError: The repository or the revision cannot be read.
        RecordError: There is no release of hubtune there, or one of its documents cannot be read.
        ReleaseError: Its documents name different inputs.
        ConfigError: Its config cannot be read.
        ReleaseError: Its config names places on a disk.
    """
    found = resolve(repo, "model", revision)
    wanted = [release.MANIFEST, release.CARD, release.CONFIG, *release.PLACES.values()]
    missing = [path for path in wanted if path not in found.files]
    if missing:
        raise RecordError(
            f"{repo} at {revision} is not a release that hubtune can read: it has no {', '.join(missing)}.",
            hint=f"See which releases there are: hubtune release list {repo}",
        )
    long = [path for path in wanted if found.files[path] > MOST_BYTES]
    if long:
        raise RecordError(
            f"{long[0]} of {repo} at {revision} is longer than the {MOST_BYTES:,} bytes that are read of a document.",
            hint="It was changed by hand, or is not a release of hubtune.",
        )
    require_own_inputs(repo, found.commit, found.files)
    content = read_files(repo, "model", found.commit, [*wanted, *({release.MERGE, release.RATED} & found.files.keys())])
    return PublishedRelease(
        repo=repo,
        commit=found.commit,
        manifest=parse_document(release.Manifest, content[release.MANIFEST], release.MANIFEST),
        config=read_published(content[release.CONFIG].decode(errors="replace"), f"{release.CONFIG} of {repo}"),
        card=content[release.CARD].decode(errors="replace"),
        pins=_record(PinSet, content),
        licenses=_record(LicenseRecord, content),
        data=_record(DataRecord, content),
        training=_record(TrainingRecord, content),
        evaluation=_record(EvaluationRecord, content),
        probe=_record(ProbeRecord, content),
        merge=parse_document(release.MergeRecord, content[release.MERGE], release.MERGE)
        if release.MERGE in content
        else None,
        ratings=parse_document(RatingsRecord, content[release.RATED], release.RATED)
        if release.RATED in content
        else None,
        content=content,
    )


def require_own_inputs(repo: str, commit: str, files: Mapping[str, int]) -> None:
    """Refuses a release whose documents name different inputs, before any of them is asked for.

    What is not a release of hubtune, or of another version, has no documents to compare, and passes.

    Args:
        repo: The release's repository.
        commit: Its commit.
        files: Path of each of its files to the size.

    Raises:
        HubError: The documents cannot be read.
        ReleaseError: They name different inputs.
    """
    names = (release.MANIFEST, release.LOCK, release.CONFIG, release.MERGE, release.ADAPTER_CONFIG)
    if release.MANIFEST not in files:
        return
    content = read_files(
        repo, "model", commit, [path for path in names if files.get(path, MOST_BYTES + 1) <= MOST_BYTES]
    )
    config, adapter = None, None
    # What cannot be read is told where it is needed.
    with contextlib.suppress(RecordError, ConfigError, ReleaseError):
        config = read_published(
            content.get(release.CONFIG, b"").decode(errors="replace"), f"{release.CONFIG} of {repo}"
        )
    with contextlib.suppress(RecordError):
        adapter = _named_base(content)
    found = disagreement(
        config,
        _readable(PinSet, content, release.LOCK),
        _readable(release.Manifest, content, release.MANIFEST),
        _readable(release.MergeRecord, content, release.MERGE),
        adapter,
    )
    if found is not None:
        raise _of_others(repo, commit, found)


def disagreement(
    config: TuneConfig | None,
    lock: PinSet | None,
    manifest: release.Manifest | None,
    merge: release.MergeRecord | None,
    adapter: tuple[str, str] | None,
) -> str | None:
    """Returns how the documents of a release contradict each other on what it was made from; None if they do not.

    Whoever follows one of them would read repositories of which the others do not tell.

    Args:
        config: Its config, as each of the others if it is there and can be read.
        lock: Its lock.
        manifest: Its manifest.
        merge: For merged weights, how they were merged.
        adapter: The base and the revision that its adapter_config.json names.
    """
    for file, pins in ((release.LOCK, lock), (release.MANIFEST, None if manifest is None else manifest.pins)):
        if pins is None:
            continue
        data = [*pins.data, *pins.earlier]
        odd = [pin for pin in data if pin.type != "dataset"] or [
            pin for pin in pins.all()[: -len(data) or None] if pin.type != "model"
        ]
        if odd:
            return f"{file} pins {odd[0].repo} as a {odd[0].type}"
        told = None if config is None else _unlike_config(config, pins)
        if told is not None:
            return f"{file} pins {told}"
        base = (pins.base.repo, pins.base.commit)
        others = {
            release.ADAPTER_CONFIG: adapter,
            release.MERGE: None if merge is None else (merge.base.repo, merge.base.commit),
        }
        for other, named in others.items():
            if named is not None and named != base:
                return f"{file} pins the base {base[0]} at {base[1]}, and {other} names {named[0]} at {named[1]}"
    if lock is not None and manifest is not None and _places(lock) != _places(manifest.pins):
        one, other = next(pair for pair in zip_longest(_places(lock), _places(manifest.pins)) if pair[0] != pair[1])
        return f"{release.LOCK} pins {one or 'nothing more'}, and {release.MANIFEST} {other or 'nothing more'}"
    return None


def _unlike_config(config: TuneConfig, pins: PinSet) -> str | None:
    earlier = config.earlier.data if config.earlier else []
    entries = [*config.data, *earlier]
    adapters = [] if config.base.adapter is None else [config.base.adapter]
    inputs: list[Input] = [config.base, *adapters, *(entry for entry in entries if entry.repo is not None)]
    pinned = pins.all()
    stated = [str(entry.repo) for entry in inputs]
    if [repo.lower() for repo in stated] != [pin.repo.lower() for pin in pinned]:
        return f"{', '.join(pin.repo for pin in pinned)}, and {release.CONFIG} names {', '.join(stated)}"
    for entry, pin in zip(inputs, pinned, strict=True):
        if is_commit(entry.revision) and entry.revision != pin.commit:
            return f"{pin.repo} at {pin.commit}, and {release.CONFIG} names it at {entry.revision}"
    return None


def _places(pins: PinSet) -> list[str]:
    return [f"{pin.repo} at {pin.commit}" for pin in pins.all()]


def _named_base(content: Mapping[str, bytes]) -> tuple[str, str] | None:
    if release.ADAPTER_CONFIG not in content:
        return None
    named = parse_json_object(content[release.ADAPTER_CONFIG], release.ADAPTER_CONFIG, error=RecordError)
    return str(named.get("base_model_name_or_path")), str(named.get("revision"))


def _readable(kind: type[R], content: Mapping[str, bytes], path: str) -> R | None:
    with contextlib.suppress(RecordError):
        return parse_document(kind, content[path], path) if path in content else None
    return None


def _of_others(repo: str, commit: str, found: str) -> ReleaseError:
    return ReleaseError(
        f"The documents of {repo} at {commit} contradict each other on what it was made from: {found}. Nothing of it "
        "is fetched.",
        hint=f"Do not rely on this release; see what else contradicts it: hubtune verify {repo}@{commit}",
    )


def parse_document(kind: type[R], content: bytes, name: str) -> R:
    """Reads one document of a release.

    Raises:
        RecordError: It is not such a document.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        places = (".".join(map(str, fault["loc"])) for fault in error.errors(include_url=False, include_input=False))
        raise RecordError(
            f"{name} is not a document that this version of hubtune can read.",
            details=[place or "not JSON" for place in places],
            hint="It was changed by hand, or written by another version of hubtune.",
        ) from error


def _record(kind: type[R], content: dict[str, bytes]) -> R:
    return parse_document(kind, content[release.PLACES[kind]], release.PLACES[kind])


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
        progress: Reports the fetching.
        allow_remote_code: The commit of the base whose Python code may be run; None for none.

    Raises:
        HubError: The release or its base are not available.
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
    """Fetches the base of a release; if its Python code is needed and allowed, that too, to be run.

    Raises:
        HubError: It is not available.
        RemoteCodeError: It needs code that is not allowed.
        ModelError: It holds an adapter next to the model, or its config names kernels of another repository.
    """
    consent = CodeConsent(allow_remote_code, ON_COMMAND)
    found = resolve(pin.repo, "model", pin.commit)
    if found.gated:
        check_access(pin.repo, "model")
    files = found.files
    check_safetensors(pin.repo, pin.commit, files)
    refuse_adapter_beside(files, f"{pin.repo} at {pin.commit}")
    if release.MODEL_CONFIG in files:
        facts = read_facts(
            read_files(pin.repo, "model", pin.commit, [release.MODEL_CONFIG])[release.MODEL_CONFIG], pin.repo
        )
        check_config(facts, pin.repo)
        check_code(facts, pin.repo, pin.commit, consent, files)
    code = consent.commit is not None
    folder = _fetch(pin, download_size("model", files, code=code), progress, code=code)
    permit(folder, pin.repo, pin.commit, consent)
    return folder


def _fetch(pin: Pin, size: int, progress: Progress, *, code: bool = False) -> Path:
    with progress.task(f"Fetching {pin.repo}", size, unit="bytes") as task:
        return fetch(pin, lambda count: task.advance(count), code=code)


def _artifact(repo: str, commit: str, files: Collection[str]) -> Artifact:
    if not {"adapter_config.json", "config.json"}.isdisjoint(files):
        check_safetensors(repo, commit, files)
    # If there are both, transformers and peft load the adapter too.
    if _ADAPTER.issubset(files):
        return "adapter"
    if release.MODEL_CONFIG in files and any(fnmatch(name, "model*.safetensors") for name in files):
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
