"""The training record: method, losses, files and environment of one fine-tune."""

from pydantic import Field

from hubtune.config.training import WHOLE_METHODS
from hubtune.records.base import Record


class EnvironmentRecord(Record):
    """Where a stage ran: the versions that decide the numbers, and the device."""

    python: str
    platform: str
    device: str
    packages: dict[str, str]


class LossPoint(Record):
    """The training loss that was logged after a step.

    Attributes:
        step: Optimizer steps that were done.
        loss: Mean over the steps since the point before, each a mean over its tokens that carried loss, in nats.
        learning_rate: The rate of that step.
        gradient_norm: The length of that step's gradient before it was clipped.
    """

    step: int
    loss: float
    learning_rate: float | None = None
    gradient_norm: float | None = None


class HeldOutPoint(Record):
    """The loss on held-out rows after a step, in nats per token."""

    step: int
    loss: float


class Finding(Record):
    """What the loss curves, or the rows that were left out, show.

    Attributes:
        name: In two or three words, such as `overfitting`.
        evidence: The numbers that it rests on, in a clause.
        advice: What to change.
    """

    name: str
    evidence: str
    advice: str


class TrainingRecord(Record):
    """What the train stage did.

    Attributes:
        upstream: Digests of the config's sections, of the pins and of the data record.
        precision: What the base model's weights were held in, `bf16` or `fp32`; trainable weights are always fp32.
        target_modules: The names of the layers that carry an adapter; of a method without adapters, the patterns or
            blocks that were trained.
        schedule: How the learning rate goes after the warm-up.
        max_grad_norm: Length that gradients are clipped to.
        packing: Whether rows shared sequences; None in records of versions that could not.
        gradient_accumulation: Micro-batches of `batch_size` rows in a step.
        tokens: Tokens that carried loss, over all epochs.
        read_tokens: Tokens that the model read, over all epochs, without padding.
        first_loss: Mean loss of the first logged steps, in nats per token.
        final_loss: Mean loss of the last logged steps, in nats per token.
        losses: The loss curve.
        held_out_losses: The losses on held-out rows while training went on.
        best_step: The step whose weights were kept, where held-out rows chose it; else the last step's were.
        findings: What the curves and the rows show, where it is of note.
        added_tokens: Texts that became tokens of their own.
        vocabulary: Rows of the embedding, where the base has too few for them.
        seconds: Wall time of the training loop.
        files: The files of the adapter, or of the whole model where the method makes one: name to sha256.
    """

    upstream: dict[str, str]
    method: str
    precision: str
    target_modules: list[str]
    trainable_parameters: int
    total_parameters: int
    epochs: float
    steps: int
    batch_size: int
    learning_rate: float
    optimizer: str
    schedule: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    seed: int
    packing: bool | None = None
    gradient_accumulation: int = 1
    tokens: int
    read_tokens: int | None = None
    first_loss: float
    final_loss: float
    losses: list[LossPoint]
    held_out_losses: list[HeldOutPoint] = Field(default=[])
    best_step: int | None = None
    findings: list[Finding] = Field(default=[])
    added_tokens: list[str] = Field(default=[])
    vocabulary: int | None = None
    started: str
    seconds: float
    files: dict[str, str]
    environment: EnvironmentRecord

    @property
    def whole(self) -> bool:
        """Whether the method made a whole model, and no adapter."""
        return self.method in WHOLE_METHODS
