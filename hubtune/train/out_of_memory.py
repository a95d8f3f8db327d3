"""Chooses micro-batches by the memory that there is, and says what to lower where it did not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubtune.config.training import TrainConfig
from hubtune.errors import MemoryNeededError
from hubtune.models.base_facts import read_facts
from hubtune.models.machine import machine_memory
from hubtune.models.memory import Workload, estimate, fitting
from hubtune.models.shape import Shape, shape_of
from hubtune.records.model_files import CONFIG
from hubtune.records.progress import Progress

# What torch says where the operating system gives the CPU's allocator nothing; it is a plain RuntimeError.
_REFUSED = "can't allocate memory"


def fit(work: Workload, base_folder: Path, progress: Progress) -> TrainConfig:
    """Returns the settings with the rows of a step in as many micro-batches as the estimate asks for.

    Args:
        work: The training.
        base_folder: The base's snapshot.
        progress: Told of what was chosen.
    """
    shape, memory = _shape(base_folder), machine_memory()
    if shape is None or memory is None:
        progress.warn(f"The memory cannot be estimated: {work.train.batch_size} rows are taken at once")
        return work.train
    chosen = fitting(shape, work, memory)
    progress.say(
        f"{chosen.batch_size} rows are taken at once, {chosen.gradient_accumulation} times in a step, by the estimate "
        f"for {memory.total / 1e9:.1f} GB"
    )
    return chosen


@contextmanager
def memory_errors(work: Workload, base_folder: Path) -> Iterator[None]:
    """Turns an allocation that failed into an error that names what takes the most, by the estimate.

    Args:
        work: The training.
        base_folder: The base's snapshot.

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
        shape = _shape(base_folder)
        if shape is None:
            raise MemoryNeededError(
                "There is not enough memory to train.", hint="Lower `train.batch_size` or `train.max_length`."
            ) from error
        found = estimate(shape, work, "cuda" if torch.cuda.is_available() else "cpu")
        raise MemoryNeededError(
            f"There is not enough memory to train: by the estimate it takes {found}.", hint=found.advice(work.train)
        ) from error


def _shape(base_folder: Path) -> Shape | None:
    return shape_of(read_facts((base_folder / CONFIG).read_bytes(), "the base model"))
