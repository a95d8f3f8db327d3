"""Measures how close a merged model, loaded from disk, is to the base model with the adapter."""

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hubtune.errors import MergeError
from hubtune.files import file_errors, scratch_folder
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import resize
from hubtune.models.four_bit import load_base_4bit
from hubtune.models.pretrained import load_base
from hubtune.records.base import Progress, ProgressTask
from hubtune.records.release import Fidelity, Tolerance

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel

# Merged and unmerged models do the same sums in another order, so their logits differ by roundings, which layers pass
# on. A rounding is 6e-8 of a number in fp32, 5e-4 in fp16 and 4e-3 in bf16, where each merged weight is rounded too.
# Random models with an adapter that acts strongly were measured at 3e-6, 6e-3 and 4e-2 of the largest logit, and at a
# KL of 5e-13, 4e-6 and 2e-4; SmolLM2-135M, with 30 layers, at 2e-6, 5e-3 and 3e-2, and at 7e-12, 2e-5 and 2e-3. The
# bounds leave room for deeper models; in fp32 a wrong scaling or a lost layer is beyond them.
# What the adapter does, the merged model has to do to its full extent. Roundings have no part in that, as they go in
# all directions, unless they round away changes that are small beside the weights. Seen in bf16 were 0.92 to 1.003, on
# SmolLM2 within 0.001, and in fp16 0.994 to 1.008; scaled 1.5 times, the same adapters had 1.26 to 1.5.
_FP32 = Tolerance(relative_difference=1e-4, kl=1e-7, effect=0.01)
_TOLERANCES = {
    "fp64": _FP32,
    "fp32": _FP32,
    "fp16": Tolerance(relative_difference=0.03, kl=1e-3, effect=0.05),
    "bf16": Tolerance(relative_difference=0.15, kl=1e-2, effect=0.15),
}
# Positions whose distributions are held in fp64 at once.
_POSITIONS = 64


@dataclass(frozen=True)
class AdaptedBase:
    """The base model with the adapter, with which a merged model is compared.

    Attributes:
        base: The base model's folder.
        adapter: The adapter's folder.
        vocabulary: The number of tokens, if the adapter was trained with another one than the base has.
        quantized: The precision to compute in if the base is held in 4 bits, as QLoRA trains it; None to hold it in the
            merged model's precision. There is no tolerance for a base in 4 bits.
    """

    base: Path
    adapter: Path
    vocabulary: int | None = None
    quantized: str | None = None

    def load(self, precision: str) -> "PeftModel":
        """Loads the two, in 4 bits or in `precision`."""
        if self.quantized:
            model = load_base_4bit(self.base, "the base model", self.quantized)
        else:
            model = load_base(self.base, "the base model", precision)
        if self.vocabulary is not None:
            resize(model, self.vocabulary)
        return load_adapter(model, self.adapter, "to merge")


def measure_fidelity(
    adapted: AdaptedBase,
    merged: Path,
    prompts: Sequence[Sequence[int]],
    precision: str,
    progress: Progress,
) -> Fidelity:
    """Compares the two models on prompts; one model is in memory at a time, and the logits are stored on disk.

    Args:
        adapted: The base model with the adapter on it.
        merged: The merged model's folder.
        prompts: Token ids of each prompt.
        precision: What all weights are held in: the number format of the merged model.
        progress: Reports each prompt.

    Raises:
        MergeError: A logit is not a number.
        ModelError: A model cannot be loaded.
    """
    if not prompts or not all(prompts):
        raise ValueError("there is nothing to compare the models on")
    with (
        scratch_folder() as folder,
        file_errors(folder),
        progress.task("Comparing the merged model with the adapter", 2 * len(prompts)) as task,
    ):
        model = adapted.load(precision)
        to_base = _keep_adapted(model, prompts, folder, task)
        # Its memory is needed for the next one.
        del model
        gc.collect()
        found, effect = _compare(load_base(merged, "the merged model", precision), prompts, folder, task)
    values = (found.largest, found.mean, found.scale, found.kl_sum, to_base.largest, effect.share)
    if not all(math.isfinite(value) for value in values):
        raise MergeError(
            "A logit of the merged model, or of the base model with the adapter, is not a number.",
            hint="The adapter is broken, or too large for the base model's number format.",
        )
    return Fidelity(
        reference="4-bit base" if adapted.quantized else "full-precision base",
        prompts=len(prompts),
        positions=found.positions,
        max_difference=found.largest,
        mean_difference=found.mean,
        largest_logit=found.scale,
        kl=found.kl_sum / found.positions,
        greedy_agreement=found.agreed / found.positions,
        base_max_difference=to_base.largest,
        base_mean_difference=to_base.mean,
        effect=effect.share,
        tolerance=None if adapted.quantized else _TOLERANCES[precision],
    )


def require_faithful(fidelity: Fidelity) -> None:
    """Refuses a merged model that equals the base model, or differs from the base model with the adapter.

    Raises:
        MergeError: It is; the message has the numbers.
    """
    if fidelity.base_max_difference == 0:
        raise MergeError(
            f"On all {fidelity.prompts} prompts the base model says the same with the adapter as without it.",
            hint="Publish nothing: the adapter was not trained, or does not belong to this base model.",
        )
    bound = fidelity.tolerance
    assert bound is not None, "the comparison with the 4-bit base has no bound"
    differences = f"largest difference between logits {fidelity.max_difference:.3g}, KL {fidelity.kl:.3g} nats"
    if fidelity.max_difference > bound.relative_difference * fidelity.largest_logit or fidelity.kl > bound.kl:
        raise MergeError(
            f"The merged model is not what base and adapter are together: {differences}; allowed are "
            f"{bound.relative_difference * fidelity.largest_logit:.3g} and {bound.kl:.3g}.",
            hint="Publish the adapter itself instead.",
        )
    if fidelity.effect is not None and bound.effect is not None and abs(fidelity.effect - 1) > bound.effect:
        raise MergeError(
            "The merged model is not what base and adapter are together: of what the adapter does to the logits it "
            f"does {fidelity.effect:.1%}; {1 - bound.effect:.0%} to {1 + bound.effect:.0%} are allowed.",
            hint="Publish the adapter itself instead. Less than all of it is done where a number format of few digits "
            "rounds away changes that are small beside the weights.",
        )
    if fidelity.mean_difference >= fidelity.base_mean_difference:
        raise MergeError(
            "The merged model is as far from the adapter as the base model is: rounding to its number format took away "
            f"what the adapter does ({differences}; the adapter alone differs by {fidelity.base_max_difference:.3g}).",
            hint="Publish the adapter itself instead.",
        )


@dataclass
class _Differences:
    """Sums over positions, and over logits."""

    positions: int = 0
    logits: int = 0
    largest: float = 0.0
    total: float = 0.0
    scale: float = 0.0
    kl_sum: float = 0.0
    agreed: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.logits

    def add(self, reference: "Tensor", other: "Tensor") -> None:
        """Adds the logits of one prompt, each of shape (positions, tokens)."""
        for start in range(0, len(reference), _POSITIONS):
            self._add(reference[start : start + _POSITIONS].double(), other[start : start + _POSITIONS].double())

    def _add(self, reference: "Tensor", other: "Tensor") -> None:
        difference = (reference - other).abs()
        self.positions += len(reference)
        self.logits += difference.numel()
        # Written so that a NaN stays one.
        self.largest = float(np.maximum(self.largest, float(difference.max())))
        self.scale = float(np.maximum(self.scale, float(reference.abs().max())))
        self.total += float(difference.sum())
        p, q = reference.log_softmax(-1), other.log_softmax(-1)
        self.kl_sum += float((p.exp() * (p - q)).sum())
        self.agreed += int((reference.argmax(-1) == other.argmax(-1)).sum())


@dataclass
class _Effect:
    """Sums of products of changes to the base's logits, less their mean at each position, which no softmax sees."""

    squared: float = 0.0
    along: float = 0.0

    @property
    def share(self) -> float:
        """The factor by which the adapter's changes are closest to those of the merged model."""
        return self.along / self.squared if self.squared else 0.0

    def add(self, base: "Tensor", adapted: "Tensor", merged: "Tensor") -> None:
        """Adds the logits of one prompt, each of shape (positions, tokens)."""
        for start in range(0, len(base), _POSITIONS):
            alone = base[start : start + _POSITIONS].double()
            one, other = (logits[start : start + _POSITIONS].double() - alone for logits in (adapted, merged))
            one -= one.mean(-1, keepdim=True)
            self.squared += float((one * one).sum())
            # One of the two without its mean is enough: a constant in the other then adds nothing.
            self.along += float((one * other).sum())


def _keep_adapted(
    model: "PeftModel", prompts: Sequence[Sequence[int]], folder: Path, task: ProgressTask
) -> _Differences:
    """Stores the logits without the adapter and with it, and returns how far they are from each other."""
    differences = _Differences()
    for number, prompt in enumerate(prompts):
        adapted = _logits(model, prompt)
        with model.disable_adapter():
            alone = _logits(model, prompt)
        np.save(_stored(folder, number), torch.stack([alone, adapted]).numpy())
        differences.add(adapted, alone)
        task.advance(note="adapter")
    return differences


def _compare(
    model: "PreTrainedModel", prompts: Sequence[Sequence[int]], folder: Path, task: ProgressTask
) -> tuple[_Differences, _Effect]:
    differences, effect = _Differences(), _Effect()
    for number, prompt in enumerate(prompts):
        alone, adapted = torch.from_numpy(np.load(_stored(folder, number)))
        merged = _logits(model, prompt)
        differences.add(adapted, merged)
        effect.add(alone, adapted, merged)
        _stored(folder, number).unlink()
        task.advance(note="merged")
    return differences, effect


def _logits(model: "PreTrainedModel", prompt: Sequence[int]) -> "Tensor":
    """Returns the logits of one prompt in fp32, of shape (positions, tokens)."""
    model.eval()
    with torch.inference_mode():
        ids = torch.tensor([list(prompt)], device=model.device)
        return model(input_ids=ids).logits[0].float().cpu()


def _stored(folder: Path, number: int) -> Path:
    return folder / f"{number}.npy"
