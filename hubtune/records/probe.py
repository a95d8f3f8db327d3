"""The probe record: what the released model says to fixed prompts, so that anyone can ask it again and compare."""

from pydantic import Field

from hubtune.records.base import Record
from hubtune.records.training import EnvironmentRecord


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
        difference: The largest difference that tuning made to a stored logit; null where there is no base model to
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
