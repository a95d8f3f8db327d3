"""Says why a model cannot be loaded: missing or damaged files, a config that is not one, an unknown architecture.

What libraries raise becomes an error that names the model, whether it is raised as the model is loaded or as it
computes.
"""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from hubtune.documents import BOUNDS, UnreadableError, load_json
from hubtune.errors import HubtuneError, ModelError
from hubtune.files import read_bytes
from hubtune.library_errors import SEE, loading, reason
from hubtune.models.checkpoint import read_header
from hubtune.records.merge import WEIGHTS, WEIGHTS_INDEX

ARCHITECTURE = "Choose a base model whose architecture is part of transformers."
CONFIG_FAULT = "Its config.json, or what it says of the weights, is at fault; choose another revision or base model."
OWN_CODE_FAULT = "The base's own code, which was allowed to run, is at fault; choose another commit or base model."
DAMAGED = (
    "If it is whole on the Hub, the copy here is damaged: remove its folder from the cache (HF_HUB_CACHE) and run the "
    "command again; else choose another revision."
)
# How transformers says that it has no such architecture.
_UNKNOWN = ("does not recognize this architecture", "unrecognized", "model_type", "model type")

_MODELS = ("transformers.models.", "transformers_modules.")
# What of hubtune computes in the place of a model's layers.
_STANDINS = ("hubtune.train.loss", "hubtune.train.fast_lora", "hubtune.models.row_attention")


@contextlib.contextmanager
def loading_model(
    fault: str, folder: Path, error: type[ModelError] = ModelError, hint: str = ARCHITECTURE, *, weights: bool = False
) -> Iterator[None]:
    """Does what `library_errors.loading` does, and tells what is at fault: weights, the config or the architecture.

    Args:
        fault: What the error says, before its reason.
        folder: The model's folder; its path is the cache's and left out of the message.
        error: The class to raise.
        hint: What to do next if the architecture is not known.
        weights: Whether the block loads weights.

    Raises:
        ModelError: Of the class `error`, or if files of weights are missing or damaged, a plain one that names them.
        MemoryNeededError: As `loading`.
        DiskFullError: As `loading`.
    """
    try:
        with loading(fault, error, hint=hint):
            yield
    except error as found:
        cause = found.__cause__
        if cause is None or not found.message.startswith(fault):
            raise
        broken = damage(folder) if weights else None
        if broken is not None:
            raise ModelError(f"{fault}: {broken}.", hint=DAMAGED) from cause
        advice = (found.hint or "") if _is_unknown(cause) else (found.hint or "").replace(ARCHITECTURE, CONFIG_FAULT)
        raise error(found.message.replace(str(folder), "its folder"), hint=advice) from cause


@contextlib.contextmanager
def computing(name: str) -> Iterator[None]:
    """Turns what a model's own computation raises into an error that names the model; what is not of it passes.

    Args:
        name: The model, for the message.

    Raises:
        ModelError: The model's layers do not fit each other, or the rows; memory that is lacking is told elsewhere.
    """
    try:
        yield
    except HubtuneError:
        raise
    except Exception as cause:
        if isinstance(cause, MemoryError) or "memory" in str(cause).lower() or not _is_of_model(cause):
            raise
        raise ModelError(
            f"{name} cannot compute with the rows that it was given: {reason(cause)}.",
            hint=f"{OWN_CODE_FAULT if _of_own_code(cause) else CONFIG_FAULT} {SEE}",
        ) from cause


def _is_of_model(cause: BaseException) -> bool:
    """Whether the code that raised is a model's, or was put in the place of some of it."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(cause.__traceback__)]
    last = next((module for module in reversed(modules) if module.startswith(("hubtune.", *_MODELS))), "")
    return last.startswith((*_MODELS, *_STANDINS))


def _of_own_code(cause: BaseException) -> bool:
    frames = traceback.walk_tb(cause.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith("transformers_modules") for frame, _ in frames)


def _is_unknown(cause: BaseException) -> bool:
    """Whether transformers has no such architecture, or says nothing of the kind."""
    return any(said in str(cause).lower() for said in _UNKNOWN)


def damage(folder: Path) -> str | None:
    """Returns what is wrong with the files that hold a model's weights, in words; None if nothing is."""
    names = [WEIGHTS]
    if (folder / WEIGHTS_INDEX).is_file():
        try:
            index = load_json(read_bytes(folder / WEIGHTS_INDEX, most=BOUNDS.size))
        except (UnreadableError, HubtuneError) as error:
            return f"{WEIGHTS_INDEX} cannot be read: {error}"
        places = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(places, dict) or not places:
            return f"{WEIGHTS_INDEX} does not name its shards"
        names = sorted({str(name) for name in places.values()})
    for name in names:
        # An index is a stranger's text: its names may not lead out of the folder.
        if Path(name).name != name or not (folder / name).is_file():
            return f"{name[:200]}, which holds weights, is missing"
        try:
            read_header(folder / name)
        except ModelError:
            return f"{name} is damaged or cut short"
    return None
