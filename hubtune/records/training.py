"""The training record: method, losses, files, environment and findings of one fine-tune."""

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
    """What held-out rows were measured at after a step.

    Attributes:
        step: Optimizer steps that were done.
        loss: In nats per token, of a classifier per label.
        accuracy: Of a classifier, the share of rows that were given just their classes; else None.
        macro_f1: Of a classifier, the mean over the classes of their F1; else None.
    """

    step: int
    loss: float
    accuracy: float | None = None
    macro_f1: float | None = None


class TrainingFinding(Record):
    """What the loss curves, or the rows that were left out, show.

    Attributes:
        name: In two or three words, such as `overfitting`.
        evidence: The numbers that it rests on, in a clause.
        advice: What to change.
    """

    name: str
    evidence: str
    advice: str


class EarlierTaskRecord(Record):
    """How much of an earlier task was forgotten.

    Attributes:
        rows: Its held-out rows that were measured.
        tokens: Their tokens that carry loss.
        before: Mean loss on them before the first step, in nats per token.
        after: That of the trained weights.
        row_tokens: How many of them each row has, in the rows' order; empty, as are the next two, in records of
            versions that did not keep them.
        row_before: The sum of each row's losses before the first step, in nats.
        row_after: That of the trained weights.
        replayed: Earlier rows among those to train on; one that was drawn twice counts twice.
        ewc: The factor of elastic weight consolidation; 0 if the weights were free.
        fisher_rows: Earlier rows that told how much each weight matters.
        penalty: What the trained weights cost by it; null where they were free.
    """

    rows: int
    tokens: int
    before: float
    after: float
    row_tokens: list[int] = Field(default_factory=list)
    row_before: list[float] = Field(default_factory=list)
    row_after: list[float] = Field(default_factory=list)
    replayed: int
    ewc: float
    fisher_rows: int
    penalty: float | None = None

    @property
    def forgetting(self) -> float:
        """How much the loss rose, in nats per token; below 0 if it fell."""
        return self.after - self.before


class TrainingRecord(Record):
    """What the train stage did.

    Attributes:
        upstream: Digests of the config's sections, of the pins and of the data record.
        precision: What the base model's weights were held in, `bf16`, `fp16` or `fp32`; trainable weights are always
            held in fp32, and where they are the base's own, this is what was computed in.
        target_modules: The names of the layers that carry an adapter; of a method without adapters, the patterns or
            blocks that were trained.
        epochs: How often each row was taken; a fraction where `steps` ended within an epoch.
        steps: Optimizer steps that were made.
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
        earlier: What became of an earlier task; null if the config names none.
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
    findings: list[TrainingFinding] = Field(default=[])
    earlier: EarlierTaskRecord | None = None
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
