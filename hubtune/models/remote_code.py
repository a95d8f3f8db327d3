"""Python code in a base model's repository: it runs only if the user named the commit of the code."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hubtune.documents import BOUNDS, parse_json_object
from hubtune.errors import ModelError, RecordError, RemoteCodeError
from hubtune.files import read_bytes
from hubtune.records.release import MODEL_CONFIG

IN_CONFIG = "`base.allow_remote_code: {}`"
"""How the config of a run allows the code of a commit."""
ON_COMMAND = "--allow-remote-code {}"
"""How a command that uses a release allows it."""

# What transformers runs of the code when a causal language model is loaded.
_ENTRIES = ("AutoConfig", "AutoModelForCausalLM")
# A class of a Python file in the repository, such as `modeling_lantern.LanternForCausalLM`.
_PLACE = re.compile(r"(?:\w+/)*\w+\.\w+")
# What code does, it does to the whole process, so that the permission to run it is the process's too.
_permitted: set[Path] = set()


@dataclass(frozen=True)
class CodeConsent:
    """The consent to run code of one commit.

    Attributes:
        commit: The commit of the base model whose code may be run; None for none.
        way: How it is allowed, for messages.
    """

    commit: str | None
    way: str = IN_CONFIG


def permit(folder: Path, name: str, commit: str, consent: CodeConsent) -> None:
    """Allows this process to run the code of a snapshot, if the snapshot needs code.

    Args:
        folder: The snapshot, fetched with its code if some is allowed.
        name: Its repository, for messages.
        commit: The commit that it is of.
        consent: Whose code may be run.

    Raises:
        RemoteCodeError: As `check_code`.
        RecordError: The code is not in the snapshot.
    """
    facts = _facts(folder)
    check_code(facts, name, commit, consent)
    if not needs_code(facts):
        return
    missing = [file for file in _code_files(facts) if not (folder / file).is_file()]
    if missing:
        raise RecordError(
            f"The Python files of {name} at {commit} are not in the local cache, such as {missing[0]}.",
            hint="Fetch them again: run `hubtune pin` with the config and the hubtune.lock of the run.",
        )
    _permitted.add(folder.resolve())


def permitted(folder: Path) -> bool:
    """Whether the code of a snapshot may be run."""
    return folder.resolve() in _permitted


def any_permitted() -> bool:
    """Whether code of any snapshot may be run by this process."""
    return bool(_permitted)


def needs_code(facts: Mapping[str, object]) -> bool | None:
    """Whether transformers lacks the model of this config.json, and its repository has code for it.

    Returns:
        None if it brings code and transformers is not installed to tell by.
    """
    if not facts.get("auto_map"):
        return False
    if find_spec("transformers") is None:
        return None
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return str(facts.get("model_type")) not in CONFIG_MAPPING_NAMES


def brings_code(folder: Path) -> bool:
    """Whether the model in `folder` is one that `needs_code`; False if its config.json is not one."""
    return bool(needs_code(_facts(folder)))


def check_code(
    facts: Mapping[str, object],
    name: str,
    commit: str,
    consent: CodeConsent,
    files: Collection[str] | None = None,
) -> None:
    """Refuses a base model whose code is not the allowed code; a model without code passes if none was allowed.

    Args:
        facts: Its config.json.
        name: Its repository, for messages.
        commit: The commit that it is pinned to.
        consent: Whose code may be run.
        files: What the repository holds at that commit, if it is known.

    Raises:
        RemoteCodeError: It needs code, and none is allowed, or that of another commit; its code is not in the
            repository, or is not a causal language model's; or code is allowed that it does not need.
    """
    allowed, way = consent.commit, consent.way
    needed = needs_code(facts)
    if needed is False and allowed is not None:
        raise RemoteCodeError(
            f"{name} at {commit} needs no code from its repository: transformers has its architecture. So there is "
            "nothing to allow.",
            hint=f"Leave {way.format(allowed)} out.",
        )
    if allowed not in (None, commit):
        keep = f", or keep to the commit that you know: `base.revision: {allowed}`" if way == IN_CONFIG else ""
        raise RemoteCodeError(
            f"The code of {name} at {allowed} is allowed, and the model is pinned to {commit}, whose code may be "
            "another.",
            hint=f"Read its Python files at {commit}, and if you trust them: {way.format(commit)}{keep}.",
        )
    if not needed:
        return
    if allowed is None:
        raise refusal(f"{name} at {commit}", way.format(commit))
    _check_places(facts, name, files)


def refusal(name: str, allowing: str | None = IN_CONFIG.format("<its commit>")) -> RemoteCodeError:
    """Returns the error for a model whose code is not allowed.

    Args:
        name: The model, for the message.
        allowing: What allows it; None if nothing does.
    """
    hint = "Choose a model, or a conversion of this one, whose architecture is part of transformers."
    if allowing is not None:
        hint += f" Or read its Python files, and if you trust them: {allowing}"
    rule = "which is never run" if allowing is None else "which is not run unless it is allowed"
    return RemoteCodeError(
        f"{name} needs Python code from its repository (auto_map in {MODEL_CONFIG}), {rule}: transformers has "
        f"no such model "
        "type of its own.",
        hint=hint,
    )


def _check_places(facts: Mapping[str, object], name: str, files: Collection[str] | None) -> None:
    hint = "Choose a base model that holds its own code, or needs none."
    places = _places(facts)
    lacking = [entry for entry in _ENTRIES if entry not in places]
    if lacking:
        raise RemoteCodeError(
            f"The code of {name} is not that of a causal language model: auto_map in {MODEL_CONFIG} names no "
            f"{lacking[0]}.",
            hint=hint,
        )
    for place in places.values():
        # Another repository's has its name and `--` before it, and its commit could not be named.
        if not _PLACE.fullmatch(place):
            raise RemoteCodeError(
                f"{name} takes its code from elsewhere: {place!r} in {MODEL_CONFIG} is not a class in one of "
                "its files.",
                hint=hint,
            )
    missing = [] if files is None else [file for file in _code_files(facts) if file not in files]
    if missing:
        raise RemoteCodeError(f"{name} lacks {missing[0]}, which auto_map in {MODEL_CONFIG} names.", hint=hint)


def _places(facts: Mapping[str, object]) -> dict[str, str]:
    """Returns what transformers runs of a config's auto_map: its entry to a class of a file."""
    named = facts.get("auto_map")
    return {entry: str(named[entry]) for entry in _ENTRIES if entry in named} if isinstance(named, dict) else {}


def _code_files(facts: Mapping[str, object]) -> list[str]:
    return [f"{place.rpartition('.')[0]}.py" for place in _places(facts).values()]


def _facts(folder: Path) -> dict[str, object]:
    if not (folder / MODEL_CONFIG).is_file():
        return {}
    content = read_bytes(folder / MODEL_CONFIG, most=BOUNDS.size)
    return dict(parse_json_object(content, f"{MODEL_CONFIG} of the base model", error=ModelError))
