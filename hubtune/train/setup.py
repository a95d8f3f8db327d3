"""What a training begins with: the model made trainable, what it computes in, and how rows go through it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.schema import TuneConfig
from hubtune.config.training import TrainConfig
from hubtune.errors import MemoryNeededError
from hubtune.models.added_tokens import tokenizer_files
from hubtune.models.architecture import Shape, shape_of
from hubtune.models.base_facts import read_facts
from hubtune.models.classifier import Classes
from hubtune.models.generation import generation_json, safe_generation_config
from hubtune.models.load_errors import computing
from hubtune.models.memory import Workload, estimate, fitting, machine_memory
from hubtune.models.precision import choose_precision, dtype_of
from hubtune.models.pretrained import check_vocabulary, pad_id
from hubtune.records.base import Progress
from hubtune.records.merge import GENERATION_CONFIG, MODEL_CONFIG
from hubtune.records.pins import Pin
from hubtune.train.batching import Batcher, choose_batcher
from hubtune.train.loss import ClassBatcher
from hubtune.train.methods.method import Trainable, make_trainable

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


# What torch says where the operating system gives the CPU's allocator nothing; it is a plain RuntimeError.
_REFUSED = "can't allocate memory"


def fit(work: Workload, base_folder: Path, progress: Progress) -> TrainConfig:
    """Returns the settings with the rows of a step in as many micro-batches as the estimate asks for.

    Args:
        work: The training.
        base_folder: The base's snapshot.
        progress: Told of what was chosen.
    """
    shape, memory = _shape(base_folder), machine_memory()
    if shape is None or memory is None:
        progress.warn(f"The memory cannot be estimated: {work.train.batch_size} rows are taken at once")
        return work.train
    chosen = fitting(shape, work, memory)
    progress.say(
        f"{chosen.batch_size} rows are taken at once, {chosen.gradient_accumulation} times in a step, by the estimate "
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
    import torch

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
        beside: Text files that are saved beside the weights: name to content.
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
        """What weights compute in that are held in fp32 because they are trained themselves, where that is less."""
        return dtype_of(self.precision) if self.settings.whole and self.precision != "fp32" else None


def set_up(
    config: TuneConfig,
    base_pin: Pin,
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    progress: Progress,
    classes: Classes | None = None,
    adapter: tuple[Pin, Path] | None = None,
    ends: Sequence[int] = (),
) -> Setup:
    """Loads the base model, makes it trainable, and tells how many of its parameters are trained.

    Args:
        config: The run's config.
        base_pin: The base model's pin.
        base_folder: Its snapshot.
        tokenizer: Its tokenizer, with the tokens that the config adds.
        progress: Told of what was chosen.
        classes: What a classifier tells apart; None for a model that writes text.
        adapter: The adapter that is trained further, and its snapshot; None for a new one.
        ends: The tokens that the rows end with.

    Raises:
        ModelError: The base model cannot be loaded.
        TrainingError: The layers do not exist.
    """
    import torch
    from transformers import set_seed

    settings = config.train
    precision = choose_precision(settings.precision)
    work = Workload(
        settings,
        width=dtype_of(precision).itemsize,
        length=settings.max_length,
        consolidated=config.consolidated,
        classes=0 if classes is None else len(classes.names),
    )
    if settings.fit_memory:
        settings = fit(work, base_folder, progress)
    if precision == "fp16" and not torch.cuda.is_available():
        progress.warn("A CPU computes in fp16 far slower than in fp32; train.precision: auto chooses what is fast here")
    set_seed(settings.seed)
    subject = make_trainable(settings, base_folder, base_pin, precision, classes, adapter, tokenizer)
    model = subject.model
    check_vocabulary(model, tokenizer, base_pin.repo)
    beside = tokenizer_files(tokenizer) if settings.added_tokens else {}
    if classes is None:
        settings_beside = safe_generation_config(
            base_folder, tokenizer, base_pin.repo, template=config.chat_template, ends=ends
        )
        beside[GENERATION_CONFIG] = generation_json(settings_beside)
    with computing(base_pin.repo):
        batcher = choose_batcher(settings, model, pad_id(tokenizer), progress, classes)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    _say_what_is_trained(subject, settings.method, precision, progress)
    return Setup(base_pin.repo, replace(work, train=settings), precision, subject, batcher, beside)


def _say_what_is_trained(subject: Trainable, method: str, precision: str, progress: Progress) -> None:
    """Tells how many parameters are trained, and of frozen layers which."""
    trainable, total = subject.counts()
    progress.say(
        f"{method} in {precision}: {trainable:,} of {total:,} parameters are trained ({100 * trainable / total:.2f} %)"
    )
    if method == "freeze":
        for part, trained, size in subject.table():
            progress.say(f"  {part}: {f'{trained:,} trained' if trained else 'frozen'} of {size:,}")
