"""The last net around what a library loads: whatever it raises becomes an error that names the input."""

import contextlib
import errno
from collections.abc import Iterator

from hubtune.errors import HubtuneError, MemoryNeededError
from hubtune.files import explain

_LONGEST = 300
_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
SEE = "To see where it came from, run the command again as hubtune --traceback COMMAND."
# What a library in Rust raises for a fault of its own; no Exception.
_PANIC = "PanicException"


@contextlib.contextmanager
def loading(fault: str, error: type[HubtuneError], *, hint: str | None = None) -> Iterator[None]:
    """Turns what the block raises into an error about a named input; hubtune's own errors pass.

    Args:
        fault: What the error says, before its reason: "The tokenizer of org/base cannot be loaded".
        error: The class to raise.
        hint: What to do next.

    Raises:
        HubtuneError: Of the class `error`: the input cannot be loaded.
        MemoryNeededError: The memory does not do for it.
        DiskFullError: A disk is full.
    """
    try:
        yield
    except HubtuneError:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as cause:
        if not isinstance(cause, Exception) and type(cause).__name__ != _PANIC:
            raise
        raise _explained(cause, fault, error, hint) from cause


def reason(cause: BaseException) -> str:
    """Returns what an error says first, on one line; its kind too if that is needed to understand it."""
    lines = str(cause).strip().splitlines()
    said = "".join(sign if sign.isprintable() else " " for sign in (lines or [""])[0]).strip().rstrip(".")
    if len(said) > _LONGEST:
        said = f"{said[:_LONGEST]}…"
    # Else a KeyError says nothing but the key.
    told = " " in said and not isinstance(cause, LookupError | AssertionError | AttributeError)
    return said if told else f"{type(cause).__name__}: {said}".rstrip(": ")


def _explained(cause: BaseException, fault: str, error: type[HubtuneError], hint: str | None) -> HubtuneError:
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return explain(cause, str(cause.filename or "the temporary folder"))
    if isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in _MEMORY):
        return MemoryNeededError(
            f"{fault}: this machine has too little memory for it.",
            hint="End other programs, or use a smaller model or less data.",
        )
    return error(f"{fault}: {reason(cause)}.", hint=f"{hint} {SEE}" if hint else SEE)
