"""How a base model is fine-tuned: the config's train section, with the defaults.

Reasons for the defaults: LoRA on all linear layers with a rate about ten times that of full fine-tuning follows
"LoRA Without Regret" (Schulman et al., 2025); alpha 32 is that report's constant scaling.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hubtune.config.section import Section


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_check_pattern)]


class LoraConfig(Section):
    """Low-rank adaptation (Hu et al., 2021).

    Attributes:
        target_modules: Names of the layers that get an adapter, as their last parts, such as `q_proj`; or one regular
            expression that their whole names have to match, such as `.*layers.1[0-9].self_attn.*`; or `all-linear`.
        rslora: Whether the update is scaled by alpha / sqrt(r) instead of alpha / r (Kalajdzievski, 2023), which keeps
            it as strong at high ranks.
        modules_to_save: Names of layers that are trained whole and published with the adapter, such as `lm_head`.
    """

    r: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Annotated[list[str], Field(min_length=1)] | Pattern = "all-linear"
    rslora: bool = False
    modules_to_save: list[str] = Field(default_factory=list)


def _check_tokens(tokens: list[str]) -> list[str]:
    seen: set[str] = set()
    for token in tokens:
        if not token.strip() or token != token.strip():
            raise ValueError(f"{token!r} is empty or has white space at its ends; write the token without")
        if token in seen:
            raise ValueError(f"{token!r} is listed twice")
        seen.add(token)
    return tokens


NewTokens = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(max_length=1000), AfterValidator(_check_tokens)
]

Method = Literal["lora", "qlora", "full", "freeze"]
# A tuple: what a config has in the place of a method may be a list, which no set can look for.
WHOLE_METHODS: tuple[Method, ...] = ("full", "freeze")
"""Methods that change the base's own weights, so that what they make is a whole model."""
# A tenth of LoRA's rate for the weights themselves: "LoRA Without Regret" found the best rates ten times apart.
_WHOLE_LEARNING_RATE = 2.0e-5


class TrainConfig(Section):
    """How the base model is fine-tuned.

    `batch_size` counts rows, whatever their length; an optimizer step takes `batch_size` times `gradient_accumulation`
    rows and weighs each of their tokens alike, so 1 times 4 learns what 4 times 1 does. `packing` puts the rows of a
    batch one after another into sequences without padding, each row on its own to the model's attention. It is a matter
    of speed alone: the steps, their rows and their gradients are those of padded batches. Where the architecture cannot
    keep rows apart, rows of like length share a batch instead.

    `epochs` says how often each row is taken, once where nothing is said; `steps` says in its place how many optimizer
    steps are made, through as many epochs as that takes.

    `gradient_checkpointing` computes activations a second time instead of keeping them: about a third slower, for far
    less memory, and the same numbers.

    Up to 200 held-out rows are measured every `held_out_steps` steps, else after each epoch. With `early_stopping: 2`
    training stops after two measurements in a row that were no better than the best, and the best's weights are kept;
    the held-out rows have then chosen among models, so their measures flatter it, which the card says.

    `batch_size: auto` is 8 with `fit_memory`, which takes the 8 rows of a step in as many micro-batches as the estimate
    of the memory asks for; what is learnt does not hang on the machine.

    A run is saved every `checkpoint_steps` steps, else every five minutes, and the last `keep_checkpoints` are kept.
    A linear fall after a short warm-up is what LoRA's own experiments used; a `weight_decay` of 0 and a `max_grad_norm`
    of 1, which leaves ordinary steps as they are, are the Trainer's. README.md has a reason for every default.

    Attributes:
        method: `lora`, `qlora` (LoRA on a base held in 4 bits), `full` (every weight) or `freeze` (some of them).
        last_blocks: With `freeze`, how many of the last blocks are trained, the final norm with them; 2 where neither
            this nor `trainable` is given.
        added_tokens: Texts that become tokens of their own, such as `<|quote|>`, wherever they stand in a row. Their
            rows of the embedding, and of a head of its own, are trained; the tokenizer is published with the release.
        trainable: With `freeze`, patterns of the names of parameters to train, such as `model.layers.11.*`.
    """

    method: Method = "lora"
    lora: LoraConfig = LoraConfig()
    last_blocks: Annotated[int, Field(ge=1)] | None = None
    trainable: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    added_tokens: NewTokens = Field(default_factory=list)
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 2.0e-4
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_grad_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    logging_steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 8
    fit_memory: bool = False
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    max_length: Annotated[int, Field(ge=8)] = 512
    packing: bool = True
    gradient_checkpointing: bool = False
    held_out_steps: Annotated[int, Field(ge=1)] | None = None
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    @model_validator(mode="before")
    @classmethod
    def _batches_that_fit(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("batch_size") == "auto":
            return {**values, "batch_size": 8, "fit_memory": True}
        return values

    @model_validator(mode="before")
    @classmethod
    def _rate_of_the_method(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("method") in WHOLE_METHODS and "learning_rate" not in values:
            return {**values, "learning_rate": _WHOLE_LEARNING_RATE}
        return values

    @model_validator(mode="before")
    @classmethod
    def _one_epoch(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("epochs") is None and values.get("steps") is None:
            return {**values, "epochs": 1.0}
        return values

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps both say how long to train; keep one (`null` takes the other away)")
        return self

    @model_validator(mode="after")
    def _frozen_layers(self) -> Self:
        given = [name for name in ("last_blocks", "trainable") if getattr(self, name) is not None]
        if given and self.method != "freeze":
            raise ValueError(f"{given[0]} goes with the method 'freeze', and the method is {self.method!r}")
        if len(given) > 1:
            raise ValueError("last_blocks and trainable both say what is trained; keep one")
        return self

    @model_validator(mode="after")
    def _new_rows_are_trained(self) -> Self:
        if self.added_tokens and self.method == "freeze":
            raise ValueError("added_tokens need their embeddings trained, and the method 'freeze' leaves those frozen")
        return self

    @property
    def whole(self) -> bool:
        """Whether the method makes a whole model, and no adapter."""
        return self.method in WHOLE_METHODS
