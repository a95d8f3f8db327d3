"""Python code in a base model's repository: run where somebody named the commit whose code it is, and nowhere else."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from hubtune.errors import ModelError
from hubtune.records.model_files import CONFIG

IN_CONFIG = "`base.allow_remote_code: {}`"
"""How the config of a run allows the code of a commit."""
ON_COMMAND = "--allow-remote-code {}"
"""How a command that uses a release allows it."""

_CAUSAL = "AutoModelForCausalLM"

# What code does, it does to the whole process, so that the permission to run it is the process's too.
_permitted: set[Path] = set()


def permit(folder: Path) -> None:
    """Allows the code of a snapshot to be run by this process; only one that was fetched with its code has any."""
    _permitted.add(folder.resolve())


def permitted(folder: Path) -> bool:
    """Whether the code of a snapshot may be run: what `trust_remote_code` has to be where it is loaded."""
    return folder.resolve() in _permitted


def needs_code(facts: Mapping[str, object]) -> bool:
    """Whether the model of this config.json is one that transformers has not, and its repository brings code for.

    Without transformers installed that shows when the model is loaded.
    """
    if not facts.get("auto_map") or find_spec("transformers") is None:
        return False
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return facts.get("model_type") not in CONFIG_MAPPING_NAMES


def brings_code(folder: Path) -> bool:
    """Whether the model in `folder` is one that `needs_code`; False where its config.json is none."""
    try:
        facts = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and needs_code(facts)


def check_code(facts: Mapping[str, object], name: str, commit: str, allowed: str | None, way: str = IN_CONFIG) -> None:
    """Refuses a base model whose code is not the one that was allowed; one without code passes where none was.

    Args:
        facts: Its config.json.
        name: Its repository, for messages.
        commit: The commit that it is pinned to.
        allowed: The commit whose code may be run; None for none.
        way: How it is allowed, for messages.

    Raises:
        ModelError: It needs code, and none is allowed, or that of another commit; its code is in another repository, or
            is no causal language model's; or code is allowed that it does not need.
    """
    if not needs_code(facts):
        if allowed is not None:
            raise ModelError(
                f"{name} at {commit} needs no code from its repository, so there is nothing to allow.",
                hint=f"Leave {way.format(allowed)} out.",
            )
        return
    if allowed is None:
        raise refusal(f"{name} at {commit}", way.format(commit))
    if allowed != commit:
        raise ModelError(
            f"The code of {name} at {allowed} is allowed, and the model is pinned to {commit}, whose code may be "
            "another.",
            hint=f"Read its Python files at that commit, and if you trust them: {way.format(commit)}",
        )
    named = facts["auto_map"]
    places = {key: str(value) for key, value in named.items()} if isinstance(named, dict) else {}
    elsewhere = sorted({place.partition("--")[0] for place in places.values() if "--" in place})
    if elsewhere:
        raise ModelError(
            f"{name} takes its code from another repository, {elsewhere[0]}, at no commit that one could name.",
            hint="Choose a base model that holds its own code, or needs none.",
        )
    if _CAUSAL not in places:
        raise ModelError(
            f"The code of {name} has no causal language model: auto_map in {CONFIG} names no {_CAUSAL}.",
            hint="Choose another base model.",
        )


def refusal(name: str, allowing: str = IN_CONFIG.format("<its commit>")) -> ModelError:
    """Returns the error of a model whose code may not be run.

    Args:
        name: The model, for the message.
        allowing: What allows it.
    """
    return ModelError(
        f"{name} needs Python code from its repository (auto_map in {CONFIG}), which is not run unless it is allowed: "
        "transformers has no such model type of its own.",
        hint="Choose a base model, or a conversion of this one, whose architecture is part of transformers. Or read "
        f"its Python files, and if you trust them: {allowing}",
    )
