"""Checks of the base model that need only a few small files at its commit, before its weights are downloaded."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from hubtune.config.schema import TuneConfig
from hubtune.data.formats.chat import usable_template
from hubtune.errors import MemoryNeededError, ModelError, TrainingError
from hubtune.files import scratch_folder
from hubtune.hub.read import resolve
from hubtune.hub.repo_files import read_files, read_shapes
from hubtune.hub.snapshot import fetch_tokenizer
from hubtune.models.adapter_settings import parse_settings
from hubtune.models.added_tokens import refuse_head_with_bias, refuse_known, stated_tokens, token_modules
from hubtune.models.architecture import shape_of
from hubtune.models.base_facts import Facts, check_facts, check_shards, check_sizes, check_writes, read_facts, shards_of
from hubtune.models.config_files import check_config, refuse_adapter_beside
from hubtune.models.memory import Workload, estimate, fitting, judge, machine_memory
from hubtune.models.remote_code import CodeConsent, check_code, needs_code
from hubtune.records.base import Pin
from hubtune.records.release import ADAPTER_CONFIG, MODEL_CONFIG, TOKENIZER, WEIGHTS, WEIGHTS_INDEX
from hubtune.train.methods.lora import check_settings

# Files whose headers are read: one request each, and what fits in them fits mostly in the others.
_MOST_SHARDS = 8
# The length of a header, and the shortest.
_LEAST_BYTES = 10


def check_memory(config: TuneConfig, facts: Facts) -> tuple[str, bool] | None:
    """Compares the estimated memory of the training with the memory of this machine.

    Returns:
        The result in words, and whether memory may be insufficient; None if it cannot be estimated.

    Raises:
        MemoryNeededError: The training needs far more memory than there is.
    """
    shape, memory, train = shape_of(facts), machine_memory(), config.train
    if shape is None or memory is None:
        return None
    # bf16 if the hardware has it: that of a GPU does.
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
    """Reads the config and the index of the base model, refuses a model that cannot be trained, and returns the config.

    Raises:
        HubError: They are not available.
        ConfigError: Data is of format 'chat', and there is no chat template that can be used.
        ModelError: The base cannot be trained by the config's method, is not whole, or needs code that is not allowed.
    """
    files = resolve(pin.repo, pin.type, pin.commit).files
    if MODEL_CONFIG not in files:
        raise ModelError(
            f"{pin.repo} at {pin.commit} has no {MODEL_CONFIG}.", hint="Choose another base model or revision."
        )
    refuse_adapter_beside(files, f"{pin.repo} at {pin.commit}")
    wanted = [name for name in (MODEL_CONFIG, WEIGHTS_INDEX) if name in files]
    content = read_files(pin.repo, pin.type, pin.commit, wanted)
    facts = read_facts(content[MODEL_CONFIG], pin.repo)
    check_config(facts, pin.repo)
    check_code(facts, pin.repo, pin.commit, CodeConsent(config.base.allow_remote_code), files)
    check_facts(facts, config.train, pin.repo)
    check_sizes(facts, pin.repo)
    if WEIGHTS_INDEX in content:
        check_shards(content[WEIGHTS_INDEX], files, pin.repo)
    if _classes(config) == 0 and find_spec("transformers") is not None:
        check_writes(facts, pin.repo)
    if config.train.added_tokens and not config.train.whole and _classes(config) == 0:
        refuse_head_with_bias(facts, pin.repo)
    # If it is missing, transformers makes it of other files, and what it has shows when rows are encoded.
    if config.train.added_tokens and TOKENIZER in files:
        _check_tokens(config.train.added_tokens, pin)
    return facts


def check_loads(config: TuneConfig, pin: Pin, facts: Facts) -> str:
    """Loads the base model without its weights: tokenizer, empty model, and the headers of the weight files.

    Args:
        config: The run's config.
        pin: The base's.
        facts: The base's config.json, which passed `check_base`.

    Returns:
        What was loaded, in words.

    Raises:
        HubError: They are not available.
        ModelError: The base cannot be loaded, or its parts do not fit each other.
        DocumentError: A file of weights has no header.
    """
    if find_spec("torch") is None or find_spec("transformers") is None:
        return "not tried: the packages of hubtune[train] are not installed"
    from hubtune.models.config_files import generation_config
    from hubtune.models.pretrained import check_shapes, check_vocabulary, empty_base, load_tokenizer

    with scratch_folder() as scratch:
        folder = fetch_tokenizer(pin, scratch)
        tokenizer = load_tokenizer(folder, pin.repo)
        generation_config(folder, pin.repo)
        for entry in config.all_data:
            if entry.stated_format == "chat":
                usable_template(tokenizer, config.chat_template, entry.label)
        # The code of a repository is run when weights are loaded, and nowhere else.
        model = None if needs_code(facts) else empty_base(folder, pin.repo, _classes(config))
    if model is None:
        return "its tokenizer loads; its architecture is code of its repository, which is not run here"
    check_vocabulary(model, tokenizer, pin.repo)
    if config.train.added_tokens and not config.train.whole:
        token_modules(model, config.train.lora.modules_to_save, pin.repo)
    loads = "its tokenizer loads, and a model can be built by its config"
    if facts.get("quantization_config"):
        return loads
    files = resolve(pin.repo, pin.type, pin.commit).files
    shards = [WEIGHTS]
    if WEIGHTS_INDEX in files:
        shards = shards_of(read_files(pin.repo, pin.type, pin.commit, [WEIGHTS_INDEX])[WEIGHTS_INDEX], pin.repo)
    for shard in [name for name in shards if name in files][:_MOST_SHARDS]:
        if files[shard] < _LEAST_BYTES:
            raise ModelError(
                f"{shard} of {pin.repo} at {pin.commit} is not a safetensors file, or is damaged.",
                hint="Choose another revision, or upload the file again if the repository is yours.",
            )
        check_shapes(model, read_shapes(pin.repo, pin.commit, shard), pin.repo)
    return f"{loads}, which its weights fit"


def check_continued(config: TuneConfig, base: Pin, adapter: Pin) -> None:
    """Refuses an adapter that cannot be trained further, by its config, before anything is fetched.

    Raises:
        HubError: It is not available.
        TrainingError: It is not one that hubtune loads, differs from the run's config, or is for another base.
    """
    name = f"{adapter.repo}@{adapter.commit}"
    content = read_files(adapter.repo, adapter.type, adapter.commit, [ADAPTER_CONFIG])[ADAPTER_CONFIG]
    check_settings(parse_settings(content, name, TrainingError), config.train.lora, base, name)


def _classes(config: TuneConfig) -> int | None:
    """Returns how many classes are told apart, two if they are not named; 0 for text; None if columns decide."""
    classified = [entry for entry in config.data if entry.stated_format == "classification"]
    if classified:
        return max(2, *(len(entry.labels or ()) for entry in classified))
    return None if any(entry.stated_format is None for entry in config.data) else 0


def _check_tokens(tokens: Sequence[str], pin: Pin) -> None:
    """Refuses tokens that the base's tokenizer has."""
    stated = read_facts(read_files(pin.repo, pin.type, pin.commit, [TOKENIZER])[TOKENIZER], pin.repo, TOKENIZER)
    refuse_known(tokens, stated_tokens(stated), pin.repo)
