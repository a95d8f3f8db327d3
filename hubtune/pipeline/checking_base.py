"""What can be known of the base model from a few small files at its commit, before its weights are fetched."""

from collections.abc import Sequence
from dataclasses import replace

from hubtune.config.schema import TuneConfig
from hubtune.errors import MemoryNeededError, ModelError
from hubtune.hub.contents import read_files
from hubtune.hub.read import resolve
from hubtune.models.added_tokens import refuse_head_with_bias, refuse_known, stated_tokens
from hubtune.models.base_facts import Facts, check_facts, check_shards, read_facts
from hubtune.models.machine import machine_memory
from hubtune.models.memory import Workload, estimate, fitting, judge
from hubtune.models.remote_code import check_code
from hubtune.models.shape import shape_of
from hubtune.records.model_files import CONFIG, TOKENIZER, WEIGHTS_INDEX
from hubtune.records.pins import Pin


def check_memory(config: TuneConfig, facts: Facts) -> tuple[str, bool] | None:
    """Compares what the training is estimated to take with what this machine has.

    Returns:
        What was found, and whether it may be too much; None where it cannot be estimated.

    Raises:
        MemoryNeededError: It is far too much.
    """
    shape, memory, train = shape_of(facts), machine_memory(), config.train
    if shape is None or memory is None:
        return None
    # bf16 where the hardware has it: that of a GPU does.
    width = 4 if train.precision == "fp32" or (train.precision == "auto" and memory.device == "cpu") else 2
    stated = facts.get("max_position_embeddings")
    length = min(train.max_length, stated) if isinstance(stated, int) and stated > 0 else train.max_length
    work = Workload(train, width, length, config.consolidated, _classes(config))
    if train.fit_memory:
        train = fitting(shape, work, memory)
    found = estimate(shape, replace(work, train=train), memory.device)
    said = (
        f"{found} for {train.batch_size} rows of {length} tokens at once; {memory.name} has {memory.total / 1e9:.1f} GB"
    )
    verdict = judge(found, memory.total)
    if verdict == "over":
        raise MemoryNeededError(f"Training by the method {train.method!r} takes {said}.", hint=found.advice(train))
    return said if verdict == "ok" else f"{said}. If it does not fit: {found.advice(train)}", verdict == "near"


def check_base(config: TuneConfig, pin: Pin) -> Facts:
    """Reads the base's config and index and refuses what cannot be trained; returns the config.

    Raises:
        HubError: They cannot be had.
        ModelError: The base cannot be trained by the config's method, is not whole, or needs code that is not allowed.
    """
    files = resolve(pin.repo, pin.type, pin.commit).files
    if CONFIG not in files:
        raise ModelError(f"{pin.repo} at {pin.commit} has no {CONFIG}.", hint="Choose another base model or revision.")
    wanted = [name for name in (CONFIG, WEIGHTS_INDEX) if name in files]
    content = read_files(pin.repo, pin.type, pin.commit, wanted)
    facts = read_facts(content[CONFIG], pin.repo)
    check_code(facts, pin.repo, pin.commit, config.base.allow_remote_code, files=files)
    check_facts(facts, config.train, pin.repo)
    if WEIGHTS_INDEX in content:
        check_shards(content[WEIGHTS_INDEX], files, pin.repo)
    if config.train.added_tokens and not config.train.whole and _classes(config) == 0:
        refuse_head_with_bias(facts, pin.repo)
    # Where it is missing, transformers makes it of other files, and what it has shows when rows are encoded.
    if config.train.added_tokens and TOKENIZER in files:
        _check_tokens(config.train.added_tokens, pin)
    return facts


def _classes(config: TuneConfig) -> int | None:
    """Returns how many classes are told apart, two where they are not named; 0 for text; None where columns decide."""
    classified = [entry for entry in config.data if entry.stated_format == "classification"]
    if classified:
        return max(2, *(len(entry.labels or ()) for entry in classified))
    return None if any(entry.stated_format is None for entry in config.data) else 0


def _check_tokens(tokens: Sequence[str], pin: Pin) -> None:
    """Refuses tokens that the base's tokenizer has."""
    stated = read_facts(read_files(pin.repo, pin.type, pin.commit, [TOKENIZER])[TOKENIZER], pin.repo, TOKENIZER)
    refuse_known(tokens, stated_tokens(stated), pin.repo)
