"""Chooses micro-batches by the memory that there is, and says what to lower where it did not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.training import TrainConfig
from hubtune.errors import MemoryNeededError
from hubtune.models.base_facts import read_facts
from hubtune.models.machine import machine_memory
from hubtune.models.memory import estimate, fitting, shape_of
from hubtune.models.precision import dtype_of
from hubtune.records.model_files import CONFIG
from hubtune.records.progress import Progress

if TYPE_CHECKING:
    import torch

# What torch says where the operating system gives the CPU's allocator nothing; it is a plain RuntimeError.
_REFUSED = "can't allocate memory"


def fit(
    settings: TrainConfig,
    base_folder: Path,
    precision: str,
    progress: Progress,
    *,
    consolidated: bool = False,
    classifies: bool = False,
) -> TrainConfig:
    """Returns the settings with the rows of a step in as many micro-batches as the estimate asks for.

    Args:
        settings: How the model is trained.
        base_folder: The base's snapshot.
        precision: What the base is held in.
        progress: Told of what was chosen.
        consolidated: Whether elastic weight consolidation holds the weights.
        classifies: Whether the model gives classes.
    """
    shape, memory = shape_of(read_facts((base_folder / CONFIG).read_bytes(), "the base model")), machine_memory()
    if shape is None or memory is None:
        progress.warn(f"The memory cannot be estimated: {settings.batch_size} rows are taken at once")
        return settings
    chosen = fitting(
        shape,
        settings,
        memory,
        width=dtype_of(precision).itemsize,
        length=settings.max_length,
        consolidated=consolidated,
        classifies=classifies,
    )
    progress.say(
        f"{chosen.batch_size} rows are taken at once, {chosen.gradient_accumulation} times in a step, by the estimate "
        f"for {memory.total / 1e9:.1f} GB"
    )
    return chosen


@contextmanager
def memory_errors(
    settings: TrainConfig,
    base_folder: Path,
    precision: "torch.dtype",
    *,
    consolidated: bool = False,
    classifies: bool = False,
) -> Iterator[None]:
    """Turns an allocation that failed into an error that names what takes the most, by the estimate.

    Args:
        settings: How the model is trained.
        base_folder: The base's snapshot.
        precision: What the base is held in.
        consolidated: Whether elastic weight consolidation holds the weights.
        classifies: Whether the model gives classes.

    Raises:
        MemoryNeededError: The memory did not do.
    """
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if plain and _REFUSED not in str(error):
            raise
        shape = shape_of(read_facts((base_folder / CONFIG).read_bytes(), "the base model"))
        if shape is None:
            raise MemoryNeededError(
                "There is not enough memory to train.", hint="Lower `train.batch_size` or `train.max_length`."
            ) from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        found = estimate(
            shape,
            settings,
            device=device,
            width=precision.itemsize,
            length=settings.max_length,
            consolidated=consolidated,
            classifies=classifies,
        )
        raise MemoryNeededError(
            f"There is not enough memory to train: by the estimate it takes {found}.", hint=found.advice(settings)
        ) from error
