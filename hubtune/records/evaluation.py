"""The evaluation record: each measure of the base model and of the tuned one, on the same items; and the probes."""

from typing import Literal

from pydantic import Field

from hubtune.records.base import Record
from hubtune.records.training import EnvironmentRecord

Group = Literal["quality", "bias", "privacy"]
Status = Literal["measured", "insufficient data", "not assessed", "failed"]


EARLIER_HELD_OUT = "earlier held-out"
"""The split of measures on rows of an earlier task, which stand beside those of the task itself."""


class Measure(Record):
    """One measure.

    Attributes:
        name: The measure's name, such as `perplexity`; one that is taken along several axes has the axis in its name.
        group: Which section of the card it belongs to.
        split: The items it was taken on, such as `held-out`.
        n: Number of items measured.
        tokens: Number of predicted tokens, where the measure is over tokens.
        base: The base model's value; null if that side does not exist.
        tuned: The tuned model's value; null likewise.
        difference: `tuned - base`, or what else the interval is of; null if a side is missing.
        interval: The 95 % interval of `difference`, by the method that `interval_method` names.
        base_interval: The 95 % interval of `base` itself, where the measure is a rate.
        tuned_interval: That of `tuned`.
        p_value: Of the test that both sides are equal, adjusted where several measures are tested together.
        seed: Of whatever was drawn: items, resamples.
        version: Of the measure's definition; values of two versions do not compare.
        settings: What else the value depends on, such as a signature or the hash of a word list.
        seconds: Wall time that the measure took; what several measures share counts for the first of them.
        status: Whether there is a value to rely on.
        detail: Why there is none, or how the value came about.
    """

    name: str
    group: Group = "quality"
    split: str
    n: int
    tokens: int | None = None
    base: float | None
    tuned: float | None
    difference: float | None = None
    interval: tuple[float, float] | None
    interval_method: str | None = None
    base_interval: tuple[float, float] | None = None
    tuned_interval: tuple[float, float] | None = None
    p_value: float | None = None
    seed: int | None = None
    version: str = "1"
    settings: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None
    status: Status
    detail: str | None = None


class Sample(Record):
    """What both models wrote after the same prompt, greedily.

    Attributes:
        prompt: The text that they went on from.
        reference: What the held-out row says there.
        base: What the base model wrote; null if that side does not exist.
        tuned: What the tuned model wrote.
    """

    prompt: str
    reference: str | None = None
    base: str | None
    tuned: str


class Confusion(Record):
    """What a classifier of one side took rows for.

    Attributes:
        side: Whose.
        classes: The names of the classes.
        counts: For each class that rows have, a line with how many of them were given each class.
    """

    side: Literal["base", "tuned"]
    classes: list[str]
    counts: list[list[int]]


class EvaluationRecord(Record):
    """What the evaluate stage did.

    Attributes:
        upstream: Digests of the config's sections, of the data and training records.
        samples: What both models wrote after some held-out rows' beginnings.
        confusions: Of a classifier, which classes it mixes up.
        max_items: The most held-out rows that were measured, drawn by `seed`; null for all.
        generations: The most rows that the models had to continue, drawn from those by `seed`.
        max_new_tokens: The most tokens that they wrote there.
    """

    upstream: dict[str, str]
    measures: list[Measure]
    samples: list[Sample] = Field(default_factory=list)
    confusions: list[Confusion] = Field(default_factory=list)
    precision: str
    batch_size: int
    max_items: int | None
    generations: int | None = None
    max_new_tokens: int | None = None
    seed: int
    environment: EnvironmentRecord

    def measure(self, name: str) -> Measure | None:
        """Returns the measure of that name, or None; those of an earlier task are not looked at."""
        return next((measure for measure in self.of_task if measure.name == name), None)

    @property
    def of_task(self) -> list[Measure]:
        """The measures of what was trained."""
        return [measure for measure in self.measures if measure.split != EARLIER_HELD_OUT]

    @property
    def of_earlier(self) -> list[Measure]:
        """Those of an earlier task."""
        return [measure for measure in self.measures if measure.split == EARLIER_HELD_OUT]


class ProbePrompt(Record):
    """One prompt, and how the model goes on, token by token, taking the likeliest token each time.

    Of a classifier it is one step, in which ids are those of classes.

    Attributes:
        text: The prompt.
        input_ids: Its token ids.
        tokens: The ids of the continuation, in order.
        likeliest: For each token of the continuation, the ids that were likeliest there, the likeliest first.
        logits: The logit of each id in `likeliest`, shape (tokens, likeliest).
    """

    text: str
    input_ids: list[int] = Field(min_length=1)
    tokens: list[int] = Field(min_length=1)
    likeliest: list[list[int]]
    logits: list[list[float]]


class ProbeRecord(Record):
    """What the model says to each prompt.

    Attributes:
        upstream: Digest of the training record, which has those of the weights.
        precision: What the base model's weights were held in, `bf16` or `fp32`.
        tolerance: How far a logit may be from the stored one before the model counts as another; arithmetic differs a
            little between processors.
        difference: The largest difference that tuning made to a stored logit; null if there is no base model to
            compare with.
    """

    upstream: dict[str, str]
    precision: str
    tolerance: float
    difference: float | None
    prompts: list[ProbePrompt] = Field(min_length=1)
    environment: EnvironmentRecord


class MergedProbeRecord(ProbeRecord):
    """The probe of a run's merged weights; `upstream` has the digest of the merge record."""
