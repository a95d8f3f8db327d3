"""The processes of one training: what each does of a step, and what they tell each other.

A launcher (`accelerate launch`, `torchrun`) starts the same training several times and says by environment variables
which of them each one is. Whatever their number, a step takes the rows that it takes in one process: they are split.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from hubtune.config.schema import TuneConfig
from hubtune.config.training import TrainConfig
from hubtune.errors import ConfigError
from hubtune.train.sharding import Sharding, require_batches, require_possible, sharding_of

T = TypeVar("T")

# What transformers puts in from its own arguments, without which DeepSpeed does not begin.
_DECIDED = dict.fromkeys(
    ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping"), "auto"
)


@dataclass(frozen=True)
class Processes:
    """The processes of a training, and which of them this one is.

    Attributes:
        count: How many there are.
        rank: The number of this one; the main process is 0.
        backend: What they talk by, such as `gloo` or `nccl`; None if there is one alone.
        launched: Whether a launcher started them.
        sharding: What splits the memory over them; None if each holds all.
    """

    count: int = 1
    rank: int = 0
    backend: str | None = None
    launched: bool = False
    sharding: Sharding | None = None

    @classmethod
    def join(cls, config: TuneConfig, *, trains: bool = True) -> "Processes":
        """Joins the processes that a launcher has started; from then on this one has its own device.

        Args:
            config: The run's config.
            trains: Whether they train; else each holds all that it needs.

        Raises:
            ConfigError: What splits the memory and the config contradict each other.
        """
        from accelerate import DistributedType, PartialState

        cuda = torch.cuda.is_available()
        sharding = sharding_of(config.train) if trains else None
        require_possible(config, sharding, cuda=cuda)
        if sharding is not None and sharding.stage is not None:
            os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
            # accelerate leaves DeepSpeed out where it is told to use the CPU, and finds no backend where it is not.
            state = PartialState(cpu=False, **({} if cuda else {"backend": "gloo"}))
        else:
            # Else accelerate gives every process but the first empty weights, which hubtune would find to be none.
            os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
            state = PartialState(cpu=not cuda)
            if sharding is not None and not cuda:
                # accelerate splits weights over devices that are not CPUs; torch does it there too.
                state.distributed_type = DistributedType.MULTI_GPU
        backend = None if state.num_processes == 1 else str(state.backend)
        processes = cls(state.num_processes, state.process_index, backend, launched=True, sharding=sharding)
        if not trains:
            return processes
        share = processes.share(config.train)
        names = {"train_micro_batch_size_per_gpu": share.size, "gradient_accumulation_steps": share.accumulated}
        require_batches(config.train, sharding, names)
        return processes

    def __str__(self) -> str:
        by = "" if self.sharding is None else f" with {self.sharding.name}"
        return f"{self.count} process{'' if self.count == 1 else 'es'}{by}"

    def arguments(self, settings: TrainConfig) -> dict[str, object]:
        """Returns what transformers' TrainingArguments are to know of what splits the memory."""
        if self.sharding is None:
            return {}
        # The processes have joined already, in a way that TrainingArguments do not know.
        known: dict[str, object] = {"accelerator_config": {"use_configured_state": True}}
        if self.sharding.stage is not None:
            values = None if self.sharding.file is None else {**_DECIDED, **self.sharding.values}
            return {**known, "use_cpu": False, "deepspeed": values}
        return {**known, "fsdp": True, "fsdp_config": {"version": 2}} if settings.fsdp else known

    @property
    def main(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Waits until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()

    def leave(self) -> None:
        """Ends the talk with the others, after all that they had to say."""
        if self.count > 1:
            self.wait()
            torch.distributed.destroy_process_group()

    def greatest(self, *values: int) -> list[int]:
        """Returns of each value the greatest that any process gave."""
        if self.count == 1:
            return list(values)
        device = "cpu" if self.backend == "gloo" else "cuda"
        given = torch.tensor(values, dtype=torch.long, device=device)
        torch.distributed.all_reduce(given, torch.distributed.ReduceOp.MAX)
        return [int(value) for value in given]

    def from_main(self, value: T) -> T:
        """Returns the main process's value."""
        if self.count == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def gathered(self, values: Sequence[T]) -> list[T]:
        """Returns the values of all processes: the first of each, then the second of each, and so on.

        Args:
            values: As many as every other process gives.
        """
        if self.count == 1:
            return list(values)
        found: list[list[T]] = [[] for _ in range(self.count)]
        torch.distributed.all_gather_object(found, list(values))
        return [value for values_of_all in zip(*found, strict=True) for value in values_of_all]

    def share(self, settings: TrainConfig) -> "Share":
        """Returns what this process does of each step.

        Raises:
            ConfigError: The rows of a step cannot be split evenly.
        """
        if self.count == 1:
            return Share(settings.batch_size, settings.gradient_accumulation)
        effective = settings.batch_size * settings.gradient_accumulation
        rows, left = divmod(effective, self.count)
        if left:
            raise ConfigError(
                f"A step takes {effective} rows (train.batch_size {settings.batch_size}, "
                f"train.gradient_accumulation {settings.gradient_accumulation}), which {self.count} processes cannot "
                "split evenly.",
                hint="Start another number of processes, or set an effective batch size that is a multiple of "
                f"{self.count}. It counts the rows of all processes together.",
            )
        size = next(size for size in range(min(settings.batch_size, rows), 0, -1) if rows % size == 0)
        return Share(size, rows // size, self.count, self.rank)


ALONE = Processes()
"""A training in one process."""


def require_rows(rows: int, processes: Processes) -> None:
    """Refuses more processes than there are training rows.

    Raises:
        ConfigError: There are.
    """
    if processes.count > max(rows, 1):
        raise ConfigError(
            f"The launcher started {processes.count} processes, and there {'is' if rows == 1 else 'are'} {rows} "
            f"training row{'' if rows == 1 else 's'} to split over them.",
            hint=f"Start at most {rows} processes, or give more rows.",
        )


@dataclass(frozen=True)
class Share:
    """What one process does of each step.

    Attributes:
        size: Rows of a micro-batch.
        accumulated: Micro-batches of a step.
        count: How many processes there are.
        rank: The number of this one.
    """

    size: int
    accumulated: int
    count: int = 1
    rank: int = 0

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        """Returns this process's micro-batches of a step: as many as every other process has, so some may be empty.

        Args:
            rows: The numbers of the step's rows; fewer than usual in the last step of an epoch.
        """
        if self.count == 1:
            return [list(rows[start : start + self.size]) for start in range(0, len(rows), self.size)]
        parts = self.per_process(len(rows)) * self.count
        bounds = [part * len(rows) // parts for part in range(parts + 1)]
        return [list(rows[bounds[part] : bounds[part + 1]]) for part in range(self.rank, parts, self.count)]

    def per_process(self, rows: int) -> int:
        """Returns how many micro-batches each process makes of a step's rows."""
        return math.ceil(rows / (self.size * self.count))
