"""How a base model is fine-tuned: the config's train section, with the defaults.

Reasons for the defaults: LoRA on all linear layers with a rate about ten times that of full fine-tuning follows
"LoRA Without Regret" (Schulman et al., 2025); alpha 32 is that report's constant scaling.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hubtune.config.data import MOST_DATA, DataConfig
from hubtune.config.fields import Also, ConfigSection, matching

_TOKEN = matching(r"^\S(?:[\s\S]*\S)?$", "A token is not empty, and has no white space at its ends.")
_COUNTRY = matching(r"^[A-Z]{3}$", "Three letters of ISO 3166-1, such as FRA.")
Method = Literal["lora", "qlora", "full", "freeze"]
TrackerName = Literal["trackio", "tensorboard", "wandb", "mlflow"]
# A tuple: the value of the method in a config may be a list, which no set can look for.
WHOLE_METHODS: tuple[Method, ...] = ("full", "freeze")
"""Methods that change the base's own weights, so that what they make is a whole model."""
# A tenth of LoRA's rate for the weights themselves: "LoRA Without Regret" found the best rates ten times apart.
_WHOLE_LEARNING_RATE = 2.0e-5


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


Pattern = Annotated[
    str, Field(min_length=1, max_length=1000, title="regular expression"), AfterValidator(_check_pattern)
]


class LoraConfig(ConfigSection):
    """Low-rank adaptation (Hu et al., 2021)."""

    r: Annotated[int, Field(ge=1)] = 16
    """The rank of the adapter's matrices."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """The scaling of the adapter: its update is multiplied by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The dropout probability on the adapter's input during training."""
    target_modules: Annotated[list[str], Field(min_length=1)] | Pattern = "all-linear"
    """The layers that get an adapter: `all-linear`, a list of layer names such as `[q_proj, v_proj]`, or a regular
    expression for whole names such as `.*layers.1[0-9].self_attn.*`."""
    rslora: bool = False
    """Whether to scale the update by alpha / √r instead of alpha / r (Kalajdzievski, 2023), which keeps it as strong at
    high ranks."""
    modules_to_save: list[str] = Field(default_factory=list)
    """Layers to train whole and to publish with the adapter, such as `[lm_head]`."""


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
    list[Annotated[str, Field(max_length=100, json_schema_extra=_TOKEN)]],
    Field(max_length=1000, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_check_tokens),
]


def _check_trackers(names: list[TrackerName]) -> list[TrackerName]:
    if len(set(names)) < len(names):
        raise ValueError("a tracker is listed twice")
    return names


def _check_country(value: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError(f"{value!r} is not a country code; write the three letters of ISO 3166-1, such as FRA or USA")
    return value


class TrainConfig(ConfigSection):
    """How the base model is fine-tuned. docs/config.md gives a reason for every default."""

    method: Method = "lora"
    """What is trained: `lora` (a small adapter), `qlora` (LoRA on a base model held in 4 bits), `full` (every weight)
    or `freeze` (only some of the weights). `full` and `freeze` publish complete weights."""
    lora: LoraConfig = LoraConfig()
    """The adapter that `lora` and `qlora` train."""
    last_blocks: Annotated[int, Field(ge=1)] | None = None
    """How many of the last transformer blocks `freeze` trains, with the final norm. The default is 2, unless
    `trainable` is set."""
    trainable: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """The parameters that `freeze` trains, as patterns such as `model.layers.11.*`. It replaces `last_blocks`."""
    added_tokens: NewTokens = Field(default_factory=list)
    """Texts that become single tokens, such as `["<|quote|>"]`. `lora`, `qlora` and `full` train their embeddings. The
    tokenizer is published with the release."""
    epochs: Annotated[float, Field(gt=0)] | None = Field(default=None, json_schema_extra={"default": 1})
    """How often each row is used. The default is 1, unless `steps` is set."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """The number of optimizer steps, instead of `epochs`."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2.0e-4
    """The peak learning rate. The default for `full` and `freeze` is 2e-5."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warmup."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """The share of the optimizer steps in which the learning rate rises to its peak."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The weight decay of AdamW."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients with a larger norm are scaled down to it. 0 turns clipping off."""
    logging_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between two entries of the training loss in `events.jsonl`. If it is not set, the length of the run
    decides."""
    batch_size: Annotated[int, Field(ge=1), Also({"const": "auto"})] = 8
    """Rows per batch. `auto` means 8 rows per optimizer step, in as many micro-batches as the memory needs; results do
    not depend on the machine's memory."""
    fit_memory: bool = False
    """Whether a batch is split into as many micro-batches as the memory needs. `batch_size: auto` sets it."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Batches per optimizer step. The effective batch size is `batch_size` times `gradient_accumulation`, and every
    token in it has the same weight."""
    max_length: Annotated[int, Field(ge=8)] = 512
    """The maximum number of tokens of a row, including its EOS. Longer rows are truncated before the EOS."""
    packing: bool = True
    """Whether to put the rows of a batch into sequences without padding. Rows do not attend to each other: it changes
    speed, not results."""
    gradient_checkpointing: bool = False
    """Whether to recompute activations instead of keeping them: far less memory, about a third slower, the same
    results."""
    held_out_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between two measurements of the loss on up to 200 held-out rows (for a classifier also accuracy and macro
    F1). If it is not set, they are measured after each epoch."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many measurements in a row without an improvement, and keep the best weights. The held-out rows
    then select the model, and the card says so."""
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between two checkpoints. `hubtune run --resume` and `hubtune train RUN --resume` resume from the newest one
    and give the same results. If it is not set, a checkpoint is saved every five minutes."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    """How many of the newest checkpoints to keep."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """The number format of the base model's weights. `auto` is bf16 if the hardware supports it, else fp32; `bf16`
    is refused on other hardware. Trained weights are always held in fp32. In fp16 the loss is scaled, and steps whose
    gradients overflow are skipped and counted."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """The seed of the training: the order of the rows, the initial adapter and dropout."""
    report_to: Annotated[
        list[TrackerName], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_check_trackers)
    ] = Field(default_factory=list)
    """The trackers that get the losses during training, then the measures and the release. By default they write to the
    run directory and use no network; docs/tracking.md lists the environment variables that change this."""
    project: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """The project of the run in the trackers. If it is not set, it is the name of `publish.repo` or else of the base
    model."""
    country: Annotated[str, Field(json_schema_extra=_COUNTRY), AfterValidator(_check_country)] | None = None
    """The country of the machine that trains, as three letters of ISO 3166-1 such as `FRA`. If it is set, codecarbon
    measures or estimates energy and CO2, without using the network."""

    fsdp: bool = False
    """Whether FSDP2 splits weights, gradients and the optimizer's state over the processes of `--launch`."""
    deepspeed: Annotated[str, Field(min_length=1, title="file")] | None = None
    """A DeepSpeed config in JSON, such as `zero2.json` beside the config. It splits the memory over the processes of
    `--launch`; batch sizes, the optimizer and the schedule stay those of this config."""

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
    def _one_sharding(self) -> Self:
        if self.fsdp and self.deepspeed is not None:
            raise ValueError("fsdp and deepspeed both split the memory; keep one (`null` takes the other away)")
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


class EarlierConfig(ConfigSection):
    """An earlier task, whose held-out rows show how much of the task is forgotten.

    If `replay` and `ewc` are 0, forgetting is measured but not reduced.
    """

    data: Annotated[list[DataConfig], Field(min_length=1, max_length=MOST_DATA)]
    """The datasets of the earlier task, with the same keys as `data`. Both models are evaluated on their held-out rows
    too, and the card reports how much of the task was forgotten."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of the earlier rows that is held out. To hold out the same rows as the earlier run, use its
    `evaluate.holdout` and `evaluate.seed`."""
    replay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of the training set that is drawn from the earlier rows, to reduce forgetting."""
    ewc: Annotated[float, Field(ge=0)] = 0.0
    """The strength of elastic weight consolidation (lambda in Kirkpatrick et al., 2017), which keeps weights that
    matter to the earlier task close to their initial values. Good strengths differ by orders of magnitude: try 1, 100
    and 10,000. 0 turns it off."""
    fisher_rows: Annotated[int, Field(ge=1)] = 200
    """The maximum number of earlier rows from which elastic weight consolidation estimates the importance of each
    weight."""

    @model_validator(mode="after")
    def _of_text(self) -> Self:
        if any(entry.stated_format == "classification" for entry in self.data):
            raise ValueError(
                "forgetting is measured on text, and the format of a dataset here is 'classification'; leave it out"
            )
        return self
