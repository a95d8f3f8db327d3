"""What a base model has to hold so that it can be loaded, and without running anyone's code."""

from collections.abc import Iterable
from fnmatch import fnmatch

from hubtune.errors import ModelError, NoSafetensorsError
from hubtune.records.model_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG


def check_no_adapter(repo: str, commit: str, files: Iterable[str]) -> None:
    """Refuses an adapter in the place of a base model.

    Raises:
        ModelError: The repository holds an adapter and no model.
    """
    names = set(files)
    if ADAPTER_CONFIG in names and CONFIG not in names:
        raise ModelError(
            f"{repo} at {commit} is an adapter, not a base model.",
            hint="Name the model that it was trained on as `base.repo`; to train the adapter further, name it as "
            "`base.adapter.repo`.",
        )


def check_adapter(repo: str, commit: str, files: Iterable[str]) -> None:
    """Refuses what is no adapter in the safetensors format where one is to be trained further.

    Raises:
        ModelError: It is none.
    """
    missing = sorted({ADAPTER_CONFIG, ADAPTER_WEIGHTS} - set(files))
    if missing:
        raise ModelError(
            f"{repo} at {commit} is not an adapter that can be trained further: it has no {missing[0]}.",
            hint="Name an adapter in the safetensors format as `base.adapter.repo`, or leave `base.adapter` out.",
        )


def check_safetensors(repo: str, commit: str, files: Iterable[str]) -> None:
    """Refuses a base model that has no weights in the safetensors format.

    Raises:
        NoSafetensorsError: There are none; other formats can run code when they are loaded.
    """
    names = list(files)
    if any(fnmatch(name, "*.safetensors") for name in names):
        return
    others = sorted(
        name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf"))
    )
    found = f" (it has {', '.join(others[:3])})" if others else ""
    raise NoSafetensorsError(
        f"{repo} at {commit} has no weights in the safetensors format{found}; other formats are not loaded, "
        "since reading them can run code.",
        hint="Choose a base model or a revision with safetensors; a GGUF file can be converted: hubtune hub import "
        "FILE REPO",
    )
