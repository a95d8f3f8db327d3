"""The bench: base and tuned model on the same rows, for every metric. Expensive results are computed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hubtune.config.evaluation import BiasConfig
from hubtune.data.batch import collate
from hubtune.data.split import seeded
from hubtune.data.tokenization import IGNORED, Example
from hubtune.models.generation import Completion, complete_all, plain_text, text_after
from hubtune.models.pretrained import pad_id
from hubtune.models.process_group import spread
from hubtune.records.base import Progress
from hubtune.records.data import DataRecord
from hubtune.records.results import Confusion, Measure, Sample

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


HALVED = "the first half of each row's tokens is given"
ASKED = "each row's prompt is given"


@dataclass(frozen=True)
class BegunRow:
    """One row as a prompt with its continuation.

    Attributes:
        prompt: Token ids, at least one, with room for what is written in the context.
        text: What the prompt says.
        reference: What the row says after it.
        asked: Whether the row has a prompt of its own; else it was halved.
        cut: Whether the front of the prompt was left out, so that it fits the context.
        tokens: How many tokens the row has after the prompt, the one that ends it included.
    """

    prompt: list[int]
    text: str
    reference: str
    asked: bool
    cut: bool
    tokens: int


@dataclass(frozen=True)
class Begun:
    """The rows as prompts with their continuations.

    Attributes:
        unusable: How many rows have nothing to continue from, or nothing after it, and were left out.
    """

    rows: list[BegunRow]
    unusable: int

    @property
    def asked(self) -> bool:
        """Whether there are rows, and each has a prompt of its own."""
        return bool(self.rows) and all(row.asked for row in self.rows)

    @property
    def given(self) -> str:
        """A description of the prompts."""
        ways = [words for words, asked in ((ASKED, True), (HALVED, False)) if asked in {row.asked for row in self.rows}]
        cut = sum(row.cut for row in self.rows)
        counts = [("prompts cut at their front to fit the context", cut), ("rows left out as too short", self.unusable)]
        return "; ".join([" or ".join(ways), *(f"{what}: {count:,}" for what, count in counts if count)])


def begin(
    held_out: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    room: int | None,
    most: int,
    seed: int,
) -> Begun:
    """Splits rows into prompt and continuation: before the first response, or in the middle if a row is all response.

    Args:
        held_out: The rows.
        tokenizer: The model's.
        room: The most tokens of a prompt; a longer one is cut at its front. None if there is no limit.
        most: The most rows; of more a sample is drawn, and kept in the rows' order.
        seed: Of the sample.
    """
    numbers = list(range(len(held_out)))
    if len(held_out) > most:
        numbers = sorted(seeded(seed).sample(numbers, most))
    rows = [_begun(held_out[number], tokenizer, room) for number in numbers]
    return Begun([row for row in rows if row is not None], rows.count(None))


def prompt_end(row: Example) -> tuple[int, bool]:
    """Returns the number of a row's prompt tokens, and whether the row has a prompt; otherwise it is halved.

    What is before the first target token is the prompt, but a BOS alone is not a prompt.
    """
    first = next((place for place, label in enumerate(row.labels) if label != IGNORED), len(row.labels))
    return (first, True) if first > 1 else (len(row.input_ids) // 2, False)


def _begun(example: Example, tokenizer: "PreTrainedTokenizerBase", room: int | None) -> BegunRow | None:
    ids, labels = example.input_ids, example.labels
    start, asked = prompt_end(example)
    end = len(ids)
    if asked:
        end = next((place for place in range(start, len(ids)) if labels[place] == IGNORED), len(ids))
    prompt = ids[:start]
    reference = text_after(tokenizer, prompt, ids[start:end])
    if not prompt or not reference.strip():
        return None
    kept = prompt if room is None else prompt[-room:]
    return BegunRow(kept, plain_text(tokenizer, kept), reference, asked, len(kept) < len(prompt), end - start)


@dataclass(frozen=True)
class Likelihoods:
    """The likelihoods of rows under a model.

    Attributes:
        nll: Negative log-likelihood of each row, in nats, shape (rows,).
        tokens: Predicted tokens of each row, shape (rows,). The first token of a row is not predicted.
        correct: How many of them were the most likely, shape (rows,).
    """

    nll: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    correct: npt.NDArray[np.int64]

    @property
    def perplexity(self) -> float:
        """The perplexity over all rows; each token counts the same."""
        return float(np.exp(self.nll.sum() / self.tokens.sum()))


def likelihoods(
    model: "PreTrainedModel",
    examples: Sequence[Example],
    padding: int,
    batch_size: int,
    on_batch: Callable[[], None] = lambda: None,
) -> Likelihoods:
    """Measures each row, with the log-softmax in fp32 whatever the model's precision; padding never counts.

    Logits are reduced batch by batch, so memory does not grow with the number of rows. Rows of like length go together,
    which saves padding and changes no value.
    """
    nll = np.zeros(len(examples))
    tokens, correct = np.zeros(len(examples), dtype=np.int64), np.zeros(len(examples), dtype=np.int64)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].input_ids))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    model.eval()
    measured = spread([partial(_measured, model, examples, rows, padding) for rows in batches], on_batch)
    for rows, found in zip(batches, measured, strict=True):
        nll[rows], tokens[rows], correct[rows] = found.nll, found.tokens, found.correct
    return Likelihoods(nll=nll, tokens=tokens, correct=correct)


def _measured(model: "PreTrainedModel", examples: Sequence[Example], rows: Sequence[int], padding: int) -> Likelihoods:
    """Measures the rows of one batch, given by their numbers."""
    import torch

    batch = {
        name: values.to(model.device) for name, values in collate([examples[row] for row in rows], padding).items()
    }
    counted = batch["labels"][:, 1:] != IGNORED
    targets = batch["labels"][:, 1:][counted]
    with torch.inference_mode():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        # Only what counts is taken to fp32, which is as much work as a layer of a small model.
        logits = logits[:, :-1][counted]
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    owners = counted.nonzero()[:, 0].cpu().numpy()
    found = Likelihoods(np.zeros(len(rows)), np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64))
    np.add.at(found.nll, owners, losses.double().cpu().numpy())
    np.add.at(found.tokens, owners, 1)
    np.add.at(found.correct, owners, (logits.argmax(dim=-1) == targets).cpu().numpy())
    return found


# Tokens of a row that is as much work as one of `batch_size` rows is meant to be; more of shorter rows go together.
_FULL = 64
Side = Literal["base", "tuned"]
Sides = Mapping[Side, Callable[[], "AbstractContextManager[PreTrainedModel]"]]
"""Opens the model of a side; both may be the same weights, with the adapter off and on."""


@dataclass(frozen=True)
class Scored:
    """Tokens to score.

    Attributes:
        input_ids: The whole text, with a BOS if the model uses one.
        counted: Which of them count; the first never does, since nothing is before it.
    """

    input_ids: list[int]
    counted: list[bool]


@dataclass
class Bench:
    """The models and rows on which metrics measure.

    Attributes:
        sides: The models; `base` is missing if there is none.
        held_out: The rows that training did not see.
        train: The rows that it saw.
        generation: Greedy settings that stop as the release's do.
        context: The most tokens that the models can read; None if there is no limit.
        seed: Of everything that is drawn.
        most: The most held-out rows that the models are made to continue from.
        max_new_tokens: The most tokens that they write there.
        phone_regions: Whose national telephone numbers count as personal data in what is shown.
        classes: Of a classifier, the names of its classes by their ids; a held-out row's `labels` are such ids.
        classifier: Of a classifier, what tells the ids of the classes that a side gives each held-out row.
        several_classes: Of a classifier, whether a row may be of several classes.
        max_items: The most rows of a part that the config lets be measured; None if it sets no limit.
        data: The data record; None if there is none.
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
        """Returns the likelihoods of the held-out rows under one model."""
        if side not in self._likelihoods:
            padding, batches = pad_id(self.tokenizer), -(-len(self.held_out) // self.batch_size)
            with self.progress.task(f"Held-out rows, {side}", batches) as task, self.sides[side]() as model:
                self._likelihoods[side] = likelihoods(model, self.held_out, padding, self.batch_size, task.advance)
        return self._likelihoods[side]

    @property
    def prompt_room(self) -> int | None:
        """The maximum number of prompt tokens that leaves room for generated text; None if there is no limit."""
        return None if self.context is None else max(1, self.context - self.max_new_tokens)

    @property
    def begun(self) -> Begun:
        """The held-out rows that the models continue: a seeded sample."""
        if self._begun is None:
            self._begun = begin(self.held_out, self.tokenizer, self.prompt_room, self.most, self.seed)
        return self._begun

    def continuations(self, side: Side) -> list[Completion]:
        """Returns the texts that one model generates for the prompts of `begun`, in the same order."""
        if side not in self._continuations:
            prompts = [row.prompt for row in self.begun.rows]
            self._continuations[side] = self.generate(side, prompts, self.max_new_tokens, "Continuing held-out rows")
        return self._continuations[side]

    def classify(self, side: Side) -> list[list[int]]:
        """Returns the class ids that one model predicts for each held-out row: one, unless rows can have several.

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
            label: What it is for, shown next to the progress bar.
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
        """Returns the texts that one model generates for the prompts with greedy decoding, in the same order.

        Prompts of like length go together, so that little is padded.

        Args:
            side: Which model.
            prompts: Token ids; each has to leave room for `max_new_tokens` in the context.
            max_new_tokens: The most tokens to write.
            label: What it is for, shown next to the progress bar.
        """
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        found: dict[int, Completion] = {}
        with self.progress.task(f"{label}, {side}", len(batches)) as task, self.sides[side]() as model:
            pieces = [
                partial(
                    complete_all,
                    model,
                    self.tokenizer,
                    [prompts[number] for number in numbers],
                    max_new_tokens,
                    self.generation,
                )
                for numbers in batches
            ]
            for numbers, written in zip(batches, spread(pieces, task.advance), strict=True):
                found.update(zip(numbers, written, strict=True))
        return [found[number] for number in range(len(prompts))]


class Metric(Protocol):
    """A metric, which returns one or several measures, such as one for each axis.

    Attributes:
        name: What the config's `evaluate.metrics` calls it.
    """

    name: str

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures every model of the bench on the same items.

        A metric that cannot measure says so in a measure's status; what it raises is recorded as failed.
        """


@runtime_checkable
class Choosy(Protocol):
    """A metric that does not fit every run; a metric without this method fits all runs."""

    def unfit(self, bench: Bench) -> str | None:
        """Returns the reason why the metric does not fit the run's rows, or None.

        One that was asked for by name is then recorded as not assessed; `metrics: all` leaves it out.
        """
