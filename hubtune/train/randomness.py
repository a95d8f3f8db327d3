"""Seeds a run and holds its random state, which dropout draws from."""

import os
import random
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class RandomState:
    """The state of torch's generators, on the CPU and on the GPU where there is one."""

    cpu: "torch.Tensor"
    cuda: "torch.Tensor | None"

    @classmethod
    def now(cls) -> "RandomState":
        """Returns the state at this moment."""
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None)

    def restore(self) -> None:
        """Makes this the state again."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.cuda)


def seed_everything(seed: int) -> None:
    """Seeds every generator, and chooses algorithms that repeat themselves to the bit, where there are such."""
    # cuBLAS reads it when it is first used; without it sums may run in another order each time.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        # What runs on the CPU repeats itself anyway.
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
