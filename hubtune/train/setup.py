"""What a training is asked for, and what it begins with: the job, the model made trainable, and its batches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hubtune.config.schema import TuneConfig
from hubtune.config.training import TrainConfig
from hubtune.data.partition import EarlierRows
from hubtune.data.tokenization import Example
from hubtune.errors import MemoryNeededError
from hubtune.models.adapters import PinnedAdapter
from hubtune.models.added_tokens import tokenizer_files
from hubtune.models.architecture import Shape, shape_of
from hubtune.models.base_facts import read_facts
from hubtune.models.classifier import Classes
from hubtune.models.config_files import computing
from hubtune.models.generation import ends_of_rows, generation_json, safe_generation_config
from hubtune.models.memory import Workload, estimate, fitting, machine_memory
from hubtune.models.precision import choose_precision, dtype_of
from hubtune.models.pretrained import PinnedBase, check_vocabulary, pad_id
from hubtune.records.base import Progress
from hubtune.records.release import GENERATION_CONFIG, MODEL_CONFIG
from hubtune.records.results import HeldOutPoint
from hubtune.records.rundir import RunDirectory
from hubtune.train.batching import Batcher, choose_batcher
from hubtune.train.loss import ClassBatcher
from hubtune.train.methods.method import Trainable, make_trainable
from hubtune.train.processes import ALONE, Processes, require_rows

_ROWS_FOR_ENDS = 256
# What torch says if the operating system gives the CPU's allocator nothing; it is a plain RuntimeError.
_REFUSED = "can't allocate memory"


@dataclass(frozen=True)
class TrainJob:
    """What to train, on which rows, and for which run.

    Attributes:
        run: The run directory, which says how, and gets what comes of it.
        base: The base model.
        examples: The training set.
        progress: Reports each step.
        classes: What a classifier distinguishes; None for a model that writes text.
        adapter: The adapter that is trained further; None for a new one.
        held_out: The rows to measure during the training.
        earlier: Rows of an earlier task, those that are replayed being among `examples` too; None if there is none.
        resume: Whether to resume from the newest complete checkpoint, if there is one; else all are removed.
        processes: The processes of the training, of which this one is one.
        watch: Called with all measurements of the held-out rows so far, after each; what it raises ends the training.
    """

    run: RunDirectory
    base: PinnedBase
    examples: Sequence[Example]
    progress: Progress
    classes: Classes | None = None
    adapter: PinnedAdapter | None = None
    held_out: Sequence[Example] = ()
    earlier: EarlierRows | None = None
    resume: bool = False
    processes: Processes = ALONE
    watch: Callable[[Sequence[HeldOutPoint]], None] | None = None

    @property
    def config(self) -> TuneConfig:
        """The run's config."""
        return self.run.config()


def fit(work: Workload, base_folder: Path, progress: Progress) -> TrainConfig:
    """Returns the settings with the rows of a step in as many micro-batches as the estimate asks for.

    Args:
        work: The training.
        base_folder: The base's snapshot.
        progress: Reports what was chosen.
    """
    shape, memory = _shape(base_folder), machine_memory()
    if shape is None or memory is None:
        progress.warn(f"The memory cannot be estimated: using micro-batches of {work.train.batch_size} rows")
        return work.train
    chosen = fitting(shape, work, memory)
    progress.say(
        f"Micro-batches of {chosen.batch_size} rows, {chosen.gradient_accumulation} accumulated, by the estimate "
        f"for {memory.total / 1e9:.1f} GB"
    )
    return chosen


@contextmanager
def memory_errors(work: Workload, base_folder: Path) -> Iterator[None]:
    """Turns an allocation that failed into an error that names what takes the most, by the estimate.

    Args:
        work: The training.
        base_folder: The base's snapshot.

    Raises:
        MemoryNeededError: The memory did not do.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if plain and _REFUSED not in str(error):
            raise
        shape = _shape(base_folder)
        if shape is None:
            raise MemoryNeededError(
                "There is not enough memory to train.", hint="Lower `train.batch_size` or `train.max_length`."
            ) from error
        found = estimate(shape, work, "cuda" if torch.cuda.is_available() else "cpu")
        raise MemoryNeededError(
            f"There is not enough memory to train: by the estimate it takes {found}.", hint=found.advice(work.train)
        ) from error


def _shape(base_folder: Path) -> Shape | None:
    return shape_of(read_facts((base_folder / MODEL_CONFIG).read_bytes(), "the base model"))


@dataclass(frozen=True)
class Setup:
    """What a training begins with.

    Attributes:
        base: The base model's repository.
        work: The training so far as its memory hangs on it.
        precision: What the base computes in.
        subject: What is trained.
        batcher: Makes batches of rows.
        beside: Text files that are saved next to the weights: name to content.
    """

    base: str
    work: Workload
    precision: str
    subject: Trainable
    batcher: Batcher | ClassBatcher
    beside: dict[str, str]

    @property
    def settings(self) -> TrainConfig:
        """How to train, with the micro-batches that fit into memory."""
        return self.work.train

    @property
    def computed(self) -> "torch.dtype | None":
        """What weights compute in that are held in fp32 because they are trained themselves, if that is less."""
        return dtype_of(self.precision) if self.settings.whole and self.precision != "fp32" else None


def set_up(job: TrainJob) -> Setup:
    """Loads the base model, makes it trainable, and says how many of its parameters are trained.

    Raises:
        ModelError: The base model cannot be loaded.
        TrainingError: The layers do not exist.
    """
    from transformers import set_seed

    base, progress = job.base, job.progress
    require_rows(len(job.examples), job.processes)
    # Before anything is loaded.
    job.processes.share(job.config.train)
    precision = choose_precision(job.config.train.precision)
    work = _workload(job, precision)
    settings = work.train
    if precision == "fp16" and not torch.cuda.is_available():
        progress.warn("fp16 is much slower than fp32 on a CPU; train.precision: auto selects the faster one")
    set_seed(settings.seed)
    subject = make_trainable(settings, base, precision, job.classes, job.adapter)
    model = subject.model
    check_vocabulary(model, base.tokenizer, base.name)
    beside = _files_beside(job)
    with computing(base.name):
        batcher = choose_batcher(settings, model, pad_id(base.tokenizer), progress, job.classes)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    _say_what_is_trained(subject, settings.method, precision, progress)
    return Setup(base.name, work, precision, subject, batcher, beside)


def _workload(job: TrainJob, precision: str) -> Workload:
    """Returns the training as its memory hangs on it, with the micro-batches that fit into memory if that is asked."""
    settings = job.config.train
    work = Workload(
        settings,
        width=dtype_of(precision).itemsize,
        length=settings.max_length,
        consolidated=job.config.consolidated,
        classes=0 if job.classes is None else len(job.classes.names),
    )
    if settings.fit_memory:
        work = replace(work, train=job.processes.from_main(fit(work, job.base.folder, job.progress)))
    return work


def _files_beside(job: TrainJob) -> dict[str, str]:
    """Returns the text files that are saved next to the weights: a tokenizer with new tokens, generation settings."""
    base, config = job.base, job.config
    beside = tokenizer_files(base.tokenizer) if config.train.added_tokens else {}
    if job.classes is None:
        # Those of the template that wrote the rows, whatever it needs to be asked for one.
        ends = ends_of_rows(base.tokenizer, (each.input_ids for each in job.examples[:_ROWS_FOR_ENDS]))
        settings = safe_generation_config(
            base.folder, base.tokenizer, base.name, template=config.chat_template, ends=ends
        )
        beside[GENERATION_CONFIG] = generation_json(settings)
    return beside


def _say_what_is_trained(subject: Trainable, method: str, precision: str, progress: Progress) -> None:
    """Tells how many parameters are trained, and of frozen layers which."""
    trainable, total = subject.counts()
    progress.say(
        f"{method} in {precision}: {trainable:,} of {total:,} parameters are trainable ({100 * trainable / total:.2f}%)"
    )
    if method == "freeze":
        for part, trained, size in subject.table():
            progress.say(f"  {part}: {f'{trained:,} trained' if trained else 'frozen'} of {size:,}")
