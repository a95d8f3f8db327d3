"""What the JSON files of a model may contain, and why a model cannot be loaded.

The files are untrusted, and transformers follows what they name: vocabulary files on this machine, compute kernels and
adapters of other repositories, generation code. So each file is checked before transformers reads it. Exceptions of
libraries, during loading or computing, become errors that name the model.
"""

import contextlib
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hubtune.documents import BOUNDS, UnreadableError, load_json
from hubtune.errors import HubtuneError, ModelError
from hubtune.files import SEE, loading, read_bytes, reason
from hubtune.models.base_facts import Facts, check_numbers, read_facts
from hubtune.models.checkpoint import read_header
from hubtune.models.remote_code import permitted
from hubtune.records.release import ADAPTER_CONFIG, GENERATION_CONFIG, MODEL_CONFIG, WEIGHTS, WEIGHTS_INDEX
from hubtune.validation import faults_of

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedConfig


MOST_BEAMS = 64
_OTHER = "Choose another base model or revision: no tool writes this."
_SETTINGS = "Ask its author for settings of a usual kind and size, or choose another revision."
# What transformers opens as a file if tokenizer_config.json gives a text for it.
_VOCABULARIES = ("vocab", "merges", "tokenizer_object", "gguf_file")
_IMPLEMENTATION = "_implementation"
_KERNELS = ("kernel_config", "use_kernels")
_SHOWN = 200
_Ids = int | Annotated[list[int], Field(max_length=1_000)] | None
_Tokens = Annotated[list[int], Field(max_length=10_000)] | None
# Each is compared with the end of the text at every token: 20 µs.
_MOST_SEQUENCES = 2_000
_Count = Annotated[int, Field(ge=0)] | None
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None


class StatedGeneration(BaseModel):
    """The settings of a generation_config.json that are used; the keys are those of transformers.

    The rest is passed over: code that writes the text (`custom_generate`), models and caches of other kinds, what
    compiles, and what makes several texts of one, or ends them by the clock.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    bos_token_id: _Ids = None
    eos_token_id: _Ids = None
    pad_token_id: int | None = None
    decoder_start_token_id: _Ids = None
    forced_bos_token_id: _Ids = None
    forced_eos_token_id: _Ids = None
    suppress_tokens: _Tokens = None
    begin_suppress_tokens: _Tokens = None
    bad_words_ids: (
        Annotated[list[Annotated[list[int], Field(max_length=100)]], Field(max_length=_MOST_SEQUENCES)] | None
    ) = None
    sequence_bias: Annotated[list[object], Field(max_length=_MOST_SEQUENCES)] | None = None
    repetition_penalty: _Positive = None
    encoder_repetition_penalty: _Positive = None
    no_repeat_ngram_size: _Count = None
    encoder_no_repeat_ngram_size: _Count = None
    renormalize_logits: bool | None = None
    remove_invalid_values: bool | None = None
    do_sample: bool | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_k: _Count = None
    top_p: _Share = None
    min_p: _Share = None
    typical_p: _Share = None
    epsilon_cutoff: _Share = None
    eta_cutoff: _Share = None
    num_beams: Annotated[int, Field(ge=1, le=MOST_BEAMS)] | None = None
    length_penalty: Annotated[float, Field(allow_inf_nan=False)] | None = None
    early_stopping: bool | str | None = None
    exponential_decay_length_penalty: list[float] | None = None
    max_length: _Count = None
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    min_length: _Count = None
    min_new_tokens: _Count = None


def generation_config(folder: Path, name: str) -> "GenerationConfig":
    """Returns the generation settings that a model's folder states: in generation_config.json, else in config.json.

    Raises:
        ModelError: A file is not JSON, or a setting is of another kind than it has to be; the message names it.
    """
    from transformers import GenerationConfig

    file = GENERATION_CONFIG if (folder / GENERATION_CONFIG).is_file() else MODEL_CONFIG
    facts: Facts = {}
    if (folder / file).is_file():
        facts = read_facts(read_bytes(folder / file, most=BOUNDS.size), name, file)
    try:
        stated = StatedGeneration.model_validate(facts)
    except ValidationError as faults:
        key = str(faults.errors(include_url=False, include_context=False)[0]["loc"][0])
        said = faults_of(faults)[0].text
        raise ModelError(
            f"`{key}` in {file} of {name} is {_shown(facts.get(key))}, which cannot be used: {said}.",
            hint=_SETTINGS,
        ) from None
    with loading(f"{file} of {name} cannot be used", ModelError, hint=_SETTINGS):
        return GenerationConfig(**stated.model_dump(exclude_none=True))


def check_tokenizer(folder: Path, name: str) -> None:
    """Refuses settings that name a vocabulary file: any file on this machine could be read and published.

    Raises:
        ModelError: There are some.
    """
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        facts = read_facts(read_bytes(folder / file), name, file) if (folder / file).is_file() else {}
        # transformers hands each key of special_tokens_map.json to the tokenizer, and `init_inputs` by their places.
        only_tokens = file == "special_tokens_map.json"
        for key, value in facts.items():
            named = isinstance(value, str) and key in _VOCABULARIES
            # One of them is read in place of tokenizer.json, and is looked at only in the folder itself.
            named = named or (key == "fast_tokenizer_files" and _leads_out(value))
            if named or (key == "init_inputs" and value) or (only_tokens and not key.endswith(("_token", "_tokens"))):
                raise ModelError(
                    f"{file} of {name} names a file as its `{key}`, or may: {str(value)[:200]!r}. Only the files of "
                    "the repository are read, by their usual names.",
                    hint=_OTHER,
                )


def _leads_out(files: object) -> bool:
    return not isinstance(files, list) or any(not isinstance(file, str) or Path(file).name != file for file in files)


def without_files(folder: Path, name: str) -> dict[str, None]:
    """Returns arguments that take the place of files that tokenizer_config.json names; old tools left paths in it."""
    path = folder / "tokenizer_config.json"
    facts = read_facts(read_bytes(path), name, path.name) if path.is_file() else {}
    return {key: None for key, value in facts.items() if key.endswith("_file") and value is not None}


def load_config(folder: Path, name: str) -> "PreTrainedConfig":
    """Loads the config.json in `folder`; code of the repository runs only if it is allowed.

    Raises:
        ModelError: It is not JSON, or names kernels of a repository.
    """
    from transformers import AutoConfig

    check_config(read_facts(read_bytes(folder / MODEL_CONFIG, most=BOUNDS.size), name), name)
    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=permitted(folder))


def check_config(facts: Facts, name: str) -> None:
    """Refuses a config.json that names compute kernels or has impossible values.

    transformers fetches the first from repositories, and runs them; the second takes all memory.

    Raises:
        ModelError: It does.
    """
    check_numbers(facts, name)
    for key, value in _settings(facts):
        implementation = key.removesuffix("_internal").endswith(_IMPLEMENTATION)
        if (implementation and "/" in str(value)) or (key in _KERNELS and value):
            raise ModelError(
                f"`{key[:_SHOWN]}` in {MODEL_CONFIG} of {name} is {_shown(value)}, which is code of another "
                f"repository; that "
                "is never run.",
                hint=_OTHER,
            )


def refuse_adapter_beside(files: Collection[str], name: str) -> None:
    """Refuses a model with an adapter among its files, which transformers would load silently.

    Args:
        files: What the repository or the folder holds.
        name: The model, for messages.

    Raises:
        ModelError: There is an adapter.
    """
    if ADAPTER_CONFIG in files:
        raise ModelError(
            f"{name} holds an adapter beside its {MODEL_CONFIG}: transformers puts what {ADAPTER_CONFIG} says on the "
            "model without a word, so it is not clear which of the two is meant.",
            hint="Choose a repository or a revision with the model alone. To train an adapter further, name it as "
            "`base.adapter`, and the model that it belongs to as `base.repo`.",
        )


def _settings(facts: Facts) -> Iterator[tuple[str, object]]:
    """Yields the settings of a config, and those of the parts of a model of several."""
    left: list[object] = [facts]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield from part.items()
            left += part.values()
        elif isinstance(part, list):
            left += part


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


ARCHITECTURE = "Choose a base model whose architecture is part of transformers."
CONFIG_FAULT = "Its config.json, or what it says of the weights, is at fault; choose another revision or base model."
OWN_CODE_FAULT = "The base's own code, which was allowed to run, is at fault; choose another commit or base model."
DAMAGED = (
    "If it is whole on the Hub, the copy here is damaged: remove its folder from the cache (HF_HUB_CACHE) and run the "
    "command again; else choose another revision."
)
# How transformers says that it has no such architecture.
_UNKNOWN = ("does not recognize this architecture", "unrecognized", "model_type", "model type")

_MODELS = ("transformers.models.", "transformers_modules.")
# What of hubtune computes instead of a model's layers.
_STANDINS = ("hubtune.train.loss", "hubtune.train.fast_lora", "hubtune.models.row_attention")


@contextlib.contextmanager
def loading_model(
    fault: str, folder: Path, error: type[ModelError] = ModelError, hint: str = ARCHITECTURE, *, weights: bool = False
) -> Iterator[None]:
    """Turns exceptions during loading into errors that name the cause: weights, config or architecture.

    Args:
        fault: What the error says, before its reason.
        folder: The model's folder; its path is the cache's and left out of the message.
        error: The class to raise.
        hint: What to do next if the architecture is not known.
        weights: Whether the block loads weights.

    Raises:
        ModelError: Of the class `error`, or if files of weights are missing or damaged, a plain one that names them.
        MemoryNeededError: As `loading`.
        DiskFullError: As `loading`.
    """
    try:
        with loading(fault, error, hint=hint):
            yield
    except error as found:
        cause = found.__cause__
        if cause is None or not found.message.startswith(fault):
            raise
        broken = damage(folder) if weights else None
        if broken is not None:
            raise ModelError(f"{fault}: {broken}.", hint=DAMAGED) from cause
        advice = (found.hint or "") if _is_unknown(cause) else (found.hint or "").replace(ARCHITECTURE, CONFIG_FAULT)
        raise error(found.message.replace(str(folder), "its folder"), hint=advice) from cause


@contextlib.contextmanager
def computing(name: str) -> Iterator[None]:
    """Turns exceptions of a model's computation into an error that names the model; others pass.

    Args:
        name: The model, for the message.

    Raises:
        ModelError: The model's layers do not fit each other, or the rows; memory that is lacking is told elsewhere.
    """
    try:
        yield
    except HubtuneError:
        raise
    except Exception as cause:
        if isinstance(cause, MemoryError) or "memory" in str(cause).lower() or not _is_of_model(cause):
            raise
        raise ModelError(
            f"{name} cannot compute with the rows that it was given: {reason(cause)}.",
            hint=f"{OWN_CODE_FAULT if _of_own_code(cause) else CONFIG_FAULT} {SEE}",
        ) from cause


def _is_of_model(cause: BaseException) -> bool:
    """Whether the code that raised is a model's, or replaces a part of it."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(cause.__traceback__)]
    last = next((module for module in reversed(modules) if module.startswith(("hubtune.", *_MODELS))), "")
    return last.startswith((*_MODELS, *_STANDINS))


def _of_own_code(cause: BaseException) -> bool:
    frames = traceback.walk_tb(cause.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith("transformers_modules") for frame, _ in frames)


def _is_unknown(cause: BaseException) -> bool:
    """Whether transformers has no such architecture, or says nothing of the kind."""
    return any(said in str(cause).lower() for said in _UNKNOWN)


def damage(folder: Path) -> str | None:
    """Returns the fault of a model's weight files, in words, or None."""
    names = [WEIGHTS]
    if (folder / WEIGHTS_INDEX).is_file():
        try:
            index = load_json(read_bytes(folder / WEIGHTS_INDEX, most=BOUNDS.size))
        except (UnreadableError, HubtuneError) as error:
            return f"{WEIGHTS_INDEX} cannot be read: {error}"
        places = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(places, dict) or not places:
            return f"{WEIGHTS_INDEX} does not name its shards"
        names = sorted({str(name) for name in places.values()})
    for name in names:
        # An index is a stranger's text: its names may not lead out of the folder.
        if Path(name).name != name or not (folder / name).is_file():
            return f"{name[:200]}, which holds weights, is missing"
        try:
            read_header(folder / name)
        except ModelError:
            return f"{name} is damaged or cut short"
    return None
