"""The bench: base and tuned model on the same rows, for every metric to measure on; whatever is dear is done once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from hubtune.config.bias import BiasConfig
from hubtune.data.tokens import IGNORED, Example
from hubtune.evaluate.begun import Begun, begin
from hubtune.evaluate.perplexity import Likelihoods, likelihoods
from hubtune.models.generation import Completion, complete_all
from hubtune.models.load import pad_id
from hubtune.records.data import DataRecord
from hubtune.records.evaluation import Confusion, Sample
from hubtune.records.progress import Progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

# Tokens of a row that is as much work as one of `batch_size` rows is meant to be; more of shorter rows go together.
_FULL = 64
Side = Literal["base", "tuned"]
Sides = Mapping[Side, Callable[[], "AbstractContextManager[PreTrainedModel]"]]
"""Opens the model of a side; both may be the same weights, with the adapter off and on."""


@dataclass(frozen=True)
class Scored:
    """Tokens to be given a likelihood.

    Attributes:
        input_ids: The whole text, with a BOS where the model wants one.
        counted: Which of them count; the first never does, since nothing stands before it.
    """

    input_ids: list[int]
    counted: list[bool]


@dataclass
class Bench:
    """What metrics measure on.

    Attributes:
        sides: The models; `base` is missing where there is none.
        held_out: The rows that training did not see.
        train: The rows that it saw.
        generation: Greedy settings that stop where the release's do.
        context: The most tokens that the models can read; None where there is no limit.
        seed: Of everything that is drawn.
        most: The most held-out rows that the models are made to go on from.
        max_new_tokens: The most tokens that they write there.
        phone_regions: Whose national telephone numbers count as personal data in what is shown.
        classes: Of a classifier, the names of its classes by their ids; a held-out row's `labels` are such ids.
        classifier: Of a classifier, what tells the ids of the classes that a side gives each held-out row.
        several_classes: Of a classifier, whether a row may be of several classes.
        max_items: The most rows of a part that the config lets be measured; None where it sets no limit.
        data: The data record; None where there is none.
        samples: Texts that metrics have to show beside their measures; they add to it.
        confusions: Tables of theirs likewise.
        bias: Files of the user's own to measure bias with.
    """

    sides: Sides
    tokenizer: "PreTrainedTokenizerBase"
    held_out: Sequence[Example]
    train: Sequence[Example]
    generation: "GenerationConfig"
    context: int | None
    batch_size: int
    seed: int
    progress: Progress
    most: int = 100
    max_new_tokens: int = 48
    phone_regions: Sequence[str] = ()
    classes: Sequence[str] = ()
    classifier: Callable[[Side], Sequence[Sequence[int]]] | None = None
    several_classes: bool = False
    max_items: int | None = None
    data: DataRecord | None = None
    samples: list[Sample] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    bias: BiasConfig = field(default_factory=BiasConfig)
    _likelihoods: dict[Side, Likelihoods] = field(default_factory=dict)
    _begun: Begun | None = None
    _continuations: dict[Side, list[Completion]] = field(default_factory=dict)
    _classified: dict[Side, list[list[int]]] = field(default_factory=dict)

    def likelihoods(self, side: Side) -> Likelihoods:
        """Returns what a side gives the held-out rows."""
        if side not in self._likelihoods:
            padding, batches = pad_id(self.tokenizer), -(-len(self.held_out) // self.batch_size)
            with self.progress.task(f"Held-out rows, {side}", batches) as task, self.sides[side]() as model:
                self._likelihoods[side] = likelihoods(model, self.held_out, padding, self.batch_size, task.advance)
        return self._likelihoods[side]

    @property
    def begun(self) -> Begun:
        """The held-out rows that the models go on from, a seeded sample of them."""
        if self._begun is None:
            self._begun = begin(self.held_out, self.tokenizer, self.context, self.max_new_tokens, self.most, self.seed)
        return self._begun

    def continuations(self, side: Side) -> list[Completion]:
        """Returns what a side writes after the prompt of each row of `begun`, in their order."""
        if side not in self._continuations:
            prompts = [row.prompt for row in self.begun.rows]
            self._continuations[side] = self.generate(side, prompts, self.max_new_tokens, "Continuing held-out rows")
        return self._continuations[side]

    def classify(self, side: Side) -> list[list[int]]:
        """Returns the ids of the classes that a side gives each held-out row: one, unless a row may be of several.

        Raises:
            ValueError: The model is no classifier.
        """
        if self.classifier is None:
            raise ValueError("the model is not a classifier")
        if side not in self._classified:
            self._classified[side] = [list(found) for found in self.classifier(side)]
        return self._classified[side]

    def score(self, side: Side, rows: Sequence[Scored], label: str) -> npt.NDArray[np.float64]:
        """Returns the sum of log p over the counted tokens of each row, in nats, shape (rows,).

        Args:
            side: Which model.
            rows: What to score.
            label: What it is for, shown beside the progress bar.
        """
        examples = [
            Example(
                "",
                row.input_ids,
                [token if counts else IGNORED for token, counts in zip(row.input_ids, row.counted, strict=True)],
                truncated=False,
            )
            for row in rows
        ]
        longest = max((len(row.input_ids) for row in rows), default=1)
        size = self.batch_size * max(1, _FULL // longest)
        with self.progress.task(f"{label}, {side}", -(-len(rows) // size)) as task, self.sides[side]() as model:
            return -likelihoods(model, examples, pad_id(self.tokenizer), size, task.advance).nll

    def generate(
        self, side: Side, prompts: Sequence[Sequence[int]], max_new_tokens: int, label: str
    ) -> list[Completion]:
        """Returns what a side writes after each prompt, greedily, in the prompts' order.

        Prompts of like length go together, so that little is padded.

        Args:
            side: Which model.
            prompts: Token ids; each has to leave room for `max_new_tokens` in the context.
            max_new_tokens: The most tokens to write.
            label: What it is for, shown beside the progress bar.
        """
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        found: dict[int, Completion] = {}
        batches = -(-len(prompts) // self.batch_size)
        with self.progress.task(f"{label}, {side}", batches) as task, self.sides[side]() as model:
            for start in range(0, len(order), self.batch_size):
                numbers = order[start : start + self.batch_size]
                written = complete_all(
                    model,
                    self.tokenizer,
                    [prompts[number] for number in numbers],
                    max_new_tokens,
                    self.generation,
                )
                found.update(zip(numbers, written, strict=True))
                task.advance()
        return [found[number] for number in range(len(prompts))]
