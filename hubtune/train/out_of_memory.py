"""Says what to lower where the memory did not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TrainConfig
from hubtune.errors import MemoryNeededError
from hubtune.models.base_facts import read_facts
from hubtune.models.memory import estimate, shape_of
from hubtune.records.model_files import CONFIG

if TYPE_CHECKING:
    import torch

# What torch says where the operating system gives the CPU's allocator nothing; it is a plain RuntimeError.
_REFUSED = "can't allocate memory"


@contextmanager
def memory_errors(settings: TrainConfig, base_folder: Path, precision: "torch.dtype") -> Iterator[None]:
    """Turns an allocation that failed into an error that names what takes the most, by the estimate.

    Args:
        settings: How the model is trained.
        base_folder: The base's snapshot.
        precision: What the base is held in.

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
        found = estimate(shape, settings, device=device, width=precision.itemsize, length=settings.max_length)
        raise MemoryNeededError(
            f"There is not enough memory to train: by the estimate it takes {found}.", hint=found.advice(settings)
        ) from error
