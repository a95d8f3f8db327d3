"""The training record and the evaluation record.

The training record has the method, losses, files, environment and findings of one training. The evaluation record has
each measure of the base model and of the tuned model on the same items, and the probe.
"""

from typing import Literal

from pydantic import Field

from hubtune.config.training import WHOLE_METHODS
from hubtune.records.base import Record
from hubtune.records.remote import JobRecord


class EnvironmentRecord(Record):
    """The environment of a stage: the device, and the versions that influence the numbers."""

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
    """The measures of the held-out rows after a step.

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
    """A diagnosis from the loss curves or from the dropped rows.

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
        tokens: Their target tokens.
        before: Mean loss on them before the first step, in nats per token.
        after: That of the trained weights.
        row_tokens: How many of them each row has, in the rows' order; empty, as are the next two, in records of
            versions that did not keep them.
        row_before: The sum of each row's losses before the first step, in nats.
        row_after: That of the trained weights.
        replayed: Earlier rows among those to train on; one that was drawn twice counts twice.
        ewc: The factor of elastic weight consolidation; 0 if the weights were free.
        fisher_rows: Earlier rows that told how much each weight matters.
        penalty: What the trained weights cost by it; null if they were free.
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


class TrackerRun(Record):
    """The run of a tracker that a training reported to.

    Attributes:
        tracker: The tracker: `trackio`, `tensorboard`, `wandb` or `mlflow`.
        project: The project that it is in.
        run: The run's name or id in the tracker.
        address: Its address without credentials, or its place in the run directory; null if it is neither.
        failed: What the tracker raised or warned of last; null if it reported everything.
    """

    tracker: str
    project: str
    run: str
    address: str | None = None
    failed: str | None = None

    @property
    def url(self) -> str | None:
        """The URL, if it is a web address."""
        return self.address if self.address is not None and "://" in self.address else None


class CostRecord(Record):
    """The cost of a training, besides time.

    Attributes:
        tokens_per_second: Tokens that the model read, per second of wall time since the training began or was resumed;
            measurements of held-out rows and checkpoints are part of that time.
        operations: Floating-point operations of all steps.
        operations_method: How they were counted.
        peak_memory: The most main memory that the process held, in bytes.
        device_peak_memory: The most memory that it reserved on one accelerator, in bytes; null without one.
        energy: In kWh; null if it was not assessed.
        energy_method: What measured or estimated the energy, and how; why it was not assessed if it is null.
        energy_estimated: Whether part of the energy is an estimate; null if it was not assessed.
        co2: Grams of CO2 equivalent; null if it was not assessed.
        country: The country whose electricity it was made from: three letters of ISO 3166-1.
    """

    tokens_per_second: float
    operations: float
    operations_method: str
    peak_memory: int | None = None
    device_peak_memory: int | None = None
    energy: float | None = None
    energy_method: str
    energy_estimated: bool | None = None
    co2: float | None = None
    country: str | None = None


class ProcessesRecord(Record):
    """The processes that a training was split over.

    Attributes:
        count: How many there were.
        backend: What they exchanged gradients by, such as `gloo` or `nccl`; None if there was one.
        sharding: What split the weights, gradients or the optimizer's state over them: `FSDP`, `DeepSpeed ZeRO 2`;
            None if each process held all.
        batch_size: Rows of a micro-batch in each process.
        gradient_accumulation: Micro-batches of a step in each process.
    """

    count: int
    backend: str | None
    sharding: str | None = None
    batch_size: int
    gradient_accumulation: int


class TrainingRecord(Record):
    """The record of the train stage.

    Attributes:
        upstream: Digests of the config's sections, of the pins and of the data record.
        precision: What the base model's weights were held in, `bf16`, `fp16` or `fp32`; trainable weights are always
            held in fp32, and where they are the base's own, this is what was computed in.
        target_modules: The names of the layers that carry an adapter; of a method without adapters, the patterns or
            blocks that were trained.
        epochs: How often each row was taken; a fraction if `steps` ended within an epoch.
        steps: Optimizer steps that were made.
        schedule: How the learning rate goes after the warm-up.
        max_grad_norm: Length that gradients are clipped to.
        packing: Whether rows shared sequences; None in records of versions that could not.
        gradient_accumulation: Micro-batches of `batch_size` rows in a step; the effective batch size is the product,
            whatever the number of processes.
        processes: The processes that a launcher started; None if the training had one, without a launcher.
        tokens: Tokens that carried loss, over all epochs.
        read_tokens: Tokens that the model read, over all epochs, without padding.
        first_loss: Mean loss of the first logged steps, in nats per token.
        final_loss: Mean loss of the last logged steps, in nats per token.
        losses: The loss curve.
        held_out_losses: The losses on held-out rows while training went on.
        best_step: The step whose weights were kept, if held-out rows chose it; else the last step's were.
        findings: What the curves and the rows show, if it is of note.
        earlier: What became of an earlier task; null if the config names none.
        added_tokens: Texts that became tokens of their own.
        vocabulary: Rows of the embedding, if the base has too few for them.
        seconds: Wall time of the training loop.
        cost: What it took besides; null in records of versions that did not measure it.
        trackers: The runs of trackers that it was reported to.
        files: The files of the adapter, or of the whole model if the method makes one: name to sha256.
        job: The job of Hugging Face Jobs that it was done by; null if a machine of the user's own did it.
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
    processes: ProcessesRecord | None = None
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
    cost: CostRecord | None = None
    trackers: list[TrackerRun] = Field(default=[])
    files: dict[str, str]
    environment: EnvironmentRecord
    job: JobRecord | None = None

    @property
    def whole(self) -> bool:
        """Whether the method makes complete weights, not an adapter."""
        return self.method in WHOLE_METHODS


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
        tokens: Number of predicted tokens, if the measure is over tokens.
        base: The base model's value; null if that side does not exist.
        tuned: The tuned model's value; null likewise.
        difference: `tuned - base`, or what else the interval is of; null if a side is missing.
        interval: The 95% interval of `difference`, by the method that `interval_method` names.
        base_interval: The 95% interval of `base` itself, if the measure is a rate.
        tuned_interval: That of `tuned`.
        p_value: Of the test that both sides are equal, adjusted if several measures are tested together.
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
    """The texts of both models for the same prompt, with greedy decoding.

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
    """The confusion matrix of one model.

    Attributes:
        side: Whose.
        classes: The names of the classes.
        counts: For each class that rows have, a line with how many of them were given each class.
    """

    side: Literal["base", "tuned"]
    classes: list[str]
    counts: list[list[int]]


class EvaluationRecord(Record):
    """The record of the evaluate stage.

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
        """Returns the measure of that name, or None; measures of an earlier task are ignored."""
        return next((measure for measure in self.of_task if measure.name == name), None)

    @property
    def of_task(self) -> list[Measure]:
        """The measures of the trained task."""
        return [measure for measure in self.measures if measure.split != EARLIER_HELD_OUT]

    @property
    def of_earlier(self) -> list[Measure]:
        """The measures of an earlier task."""
        return [measure for measure in self.measures if measure.split == EARLIER_HELD_OUT]


class ProbePrompt(Record):
    """One prompt, and the model's greedy continuation, token by token.

    Of a classifier it is one step, in which ids are those of classes.

    Attributes:
        text: The prompt.
        input_ids: Its token ids.
        tokens: The ids of the continuation, in order.
        likeliest: For each token of the continuation, the ids that were most likely there, the most likely first.
        logits: The logit of each id in `likeliest`, shape (tokens, likeliest).
    """

    text: str
    input_ids: list[int] = Field(min_length=1)
    tokens: list[int] = Field(min_length=1)
    likeliest: list[list[int]]
    logits: list[list[float]]


class ProbeRecord(Record):
    """The model's continuation of each prompt.

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
