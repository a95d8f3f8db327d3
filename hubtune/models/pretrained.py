"""Loads tokenizers and base models from local folders: no network, no pickle, and no code except what is allowed.

The folders are untrusted: each JSON file is checked before transformers reads it, and weights are only read from
safetensors. Tensors that are missing, misshapen or not finite are an error, never random numbers. The code of a
tokenizer never runs; for that of a model, see `hubtune.models.remote_code`.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.documents import BOUNDS
from hubtune.errors import ModelError, RemoteCodeError
from hubtune.files import loading, read_bytes
from hubtune.models import config_files
from hubtune.models.architecture import build_empty
from hubtune.models.base_facts import Facts, read_facts
from hubtune.models.checkpoint import read_header
from hubtune.models.precision import dtype_of
from hubtune.models.remote_code import brings_code, permitted, refusal
from hubtune.models.tokenizer_file import SECTIONS, check_steps, check_tokenizer_file
from hubtune.records.base import Pin
from hubtune.records.release import MODEL_CONFIG

if TYPE_CHECKING:
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )


_APART = "The repository's files do not belong together; choose another revision or base model."
# What configs call the number of tokens that are read at once.
_CONTEXT = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length")
# transformers logs which weights do not fit; its error refers to that.
_IN_A_REPORT = "the above report"
_TOKENIZER = (
    "The repository has to hold it, best as tokenizer.json with tokenizer_config.json; the code of a tokenizer is "
    "never run."
)


def empty_base(folder: Path, name: str, classes: int | None) -> "PreTrainedModel":
    """Builds a base without weights.

    Args:
        folder: Where its config.json is.
        name: Its id, for messages.
        classes: How many classes it is to tell apart; 0 for a model that writes text, None if the rows have yet to
            tell which it is.

    Raises:
        ModelError: transformers cannot build it; if it is not known for which of the two, for neither.
    """
    try:
        return build_empty(folder, name, classifies=bool(classes))
    except ModelError:
        if classes is not None:
            raise
        return build_empty(folder, name, classifies=True)


def check_shapes(model: "PreTrainedModel", stored: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Refuses weights whose shapes do not match the config.

    Args:
        model: The empty model.
        stored: Tensors of one of its files and their shapes; names that the model has not are passed over, as
            transformers renames some.
        name: The base's id, for messages.

    Raises:
        ModelError: One has another shape; the message names it.
    """
    expected = {key: tuple(value.shape) for key, value in model.named_parameters(remove_duplicate=False)}
    prefix = f"{model.base_model_prefix}."
    for tensor, shape in stored.items():
        wanted = expected.get(tensor) or expected.get(prefix + tensor)
        if wanted is not None and wanted != shape:
            raise ModelError(
                f"The weights of {name} are not those of its config.json: {tensor} has the shape {list(shape)}, and "
                f"{list(wanted)} is needed.",
                hint=_APART,
            )


def load_tokenizer(folder: Path, name: str) -> "PreTrainedTokenizerBase":
    """Loads the tokenizer of a base model.

    Args:
        folder: The base model's snapshot.
        name: The base model's id, for messages.

    Raises:
        ModelError: There is none that can be used, or it has no EOS token.
    """
    from transformers import AutoTokenizer

    # transformers builds the config of the model for it.
    if (folder / MODEL_CONFIG).is_file():
        config_files.check_config(read_facts(read_bytes(folder / MODEL_CONFIG, most=BOUNDS.size), name), name)
    config_files.check_tokenizer(folder, name)
    check_tokenizer_file(folder, name)
    with loading(f"The tokenizer of {name} cannot be loaded", ModelError, hint=_TOKENIZER):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **config_files.without_files(folder, name)
        )
    _check_usable(tokenizer, name)
    # An encoder's tokenizer puts its own tokens around a text to classify.
    if tokenizer.eos_token_id is None and tokenizer.sep_token_id is None:
        raise ModelError(
            f"The tokenizer of {name} has no EOS token, so a tuned model could not learn where to stop.",
            hint="Choose a base model whose tokenizer_config.json names an `eos_token`.",
        )
    return tokenizer


def _check_usable(tokenizer: object, name: str) -> None:
    """Refuses what transformers loads in place of a tokenizer: a pair of them, or one that knows no text."""
    from transformers import PreTrainedTokenizerBase

    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ModelError(
            f"The tokenizer of {name} is of the class {type(tokenizer).__name__}, which holds several tokenizers.",
            hint=_TOKENIZER,
        )
    special = {*tokenizer.all_special_tokens, *(str(token) for token in tokenizer.added_tokens_decoder.values())}
    if not tokenizer.get_vocab().keys() - special:
        raise ModelError(
            f"The tokenizer of {name} has no vocabulary: it knows no token but special ones.", hint=_TOKENIZER
        )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        # It may have been made of other files than a tokenizer.json.
        parts = {section: getattr(backend, section) for section in SECTIONS}
        stated = {section: json.loads(part.__getstate__()) for section, part in parts.items() if part is not None}
        check_steps(stated, f"the tokenizer of {name}")


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Saves a tokenizer, without the notes of transformers about how it was loaded."""
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    values = json.loads(settings.read_text(encoding="utf-8"))
    for key in ("is_local", "local_files_only"):
        values.pop(key, None)
    settings.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def pad_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Returns the padding id: the tokenizer's, or else that of EOS, which works because masks go by position."""
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def context_length(folder: Path, name: str) -> int | None:
    """Returns the context length of a model from its config; None if the config sets no limit.

    Raises:
        ModelError: The config cannot be read.
    """
    code = brings_code(folder)
    if code and not permitted(folder):
        return _stated_context(read_facts((folder / MODEL_CONFIG).read_bytes(), name))

    with config_files.loading_model(f"The config of {name} cannot be used", folder), _prints_on_stderr(run=code):
        return getattr(config_files.load_config(folder, name).get_text_config(), "max_position_embeddings", None)


@dataclass(frozen=True)
class PinnedBase:
    """The base model of a run, on disk.

    Attributes:
        pin: Its repository and commit.
        folder: Its snapshot.
        tokenizer: Its tokenizer, with the tokens that the config adds.
    """

    pin: Pin
    folder: Path
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def name(self) -> str:
        """Its repository, for messages."""
        return self.pin.repo

    @cached_property
    def context_length(self) -> int | None:
        """The context length; see `context_length`."""
        return context_length(self.folder, self.name)


def _stated_context(facts: Facts) -> int | None:
    """Returns what a config.json states of the context, by the names that are common for it."""
    text = facts.get("text_config")
    stated = [part.get(name) for part in (facts, text) if isinstance(part, dict) for name in _CONTEXT]
    return next((value for value in stated if isinstance(value, int) and value > 1), None)


def check_vocabulary(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Refuses a tokenizer with ids that the model has no embedding for.

    Raises:
        ModelError: It has some.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"The tokenizer of {name} has {len(tokenizer):,} tokens, and the model has embeddings for {rows:,}.",
            hint="The repository's files do not belong together; choose another revision or base model.",
        )


def check_finite(model: "PreTrainedModel", name: str) -> None:
    """Refuses weights that are NaN or infinite: nothing can be learned from them, and every loss would be NaN.

    Raises:
        ModelError: A tensor holds NaN or infinity; the message names it.
    """
    import torch

    for tensor, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            hint = "Its files are damaged or were saved after a training that diverged; choose another revision."
            if weight.dtype == torch.float16:
                hint = f"If they are above 65,504, fp16 has no such numbers: set `train.precision: auto`. Else: {hint}"
            raise ModelError(f"{name} holds numbers that are not finite (NaN or infinity) in {tensor}.", hint=hint)


def load_base(folder: Path, name: str, precision: str) -> "PreTrainedModel":
    """Loads a causal language model.

    Args:
        folder: Its snapshot.
        name: Its id, for messages.
        precision: A precision that `dtype_of` knows.

    Raises:
        ModelError: It cannot be loaded as a causal language model, or only with code that may not be run.
    """
    import torch

    model = load_causal(folder, name, dtype_of(precision))
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def load_causal(folder: Path, name: str, dtype: "torch.dtype", **options: object) -> "PreTrainedModel":
    """Loads a causal language model in `dtype`, with further options for `from_pretrained`.

    Raises:
        ModelError: As `load_base`.
    """
    from transformers import AutoModelForCausalLM

    code = brings_code(folder)
    if code and not permitted(folder):
        raise refusal(name)
    hint = config_files.ARCHITECTURE
    if code:
        hint = f"Its code may be made for another version of transformers. {hint}"
    # generate() takes from these whatever it is not told; transformers would read them by itself.
    options = {"dtype": dtype, "generation_config": config_files.generation_config(folder, name), **options}
    model, missing = load_checkpoint(
        AutoModelForCausalLM, folder, name, Purpose("as a causal language model", hint), options
    )
    refuse_missing(missing, name, "causal language model")
    return model


@dataclass(frozen=True)
class Purpose:
    """The purpose of loading a model: its words in errors, such as "to classify texts", and the advice."""

    words: str
    hint: str


def load_checkpoint(
    auto: "type[AutoModelForCausalLM | AutoModelForSequenceClassification]",
    folder: Path,
    name: str,
    purpose: Purpose,
    options: Mapping[str, object],
) -> "tuple[PreTrainedModel, list[str]]":
    """Loads a model by one of transformers' Auto classes, from local safetensors only.

    Args:
        auto: The class.
        folder: The snapshot.
        name: Its id, for messages.
        purpose: What it is loaded for.
        options: Further ones for `from_pretrained`.

    Returns:
        The model, and the tensors that the checkpoint lacks: transformers fills them with random numbers and goes on.

    Raises:
        ModelError: It cannot be loaded, holds an adapter too, or names kernels of another repository.
    """
    fault, hint = f"{name} cannot be loaded {purpose.words}", purpose.hint
    if not (folder / MODEL_CONFIG).is_file():
        # transformers would load the model that an adapter_config.json names, from anywhere on this machine.
        raise ModelError(f"{fault}: it has no {MODEL_CONFIG}.", hint=hint)
    config_files.refuse_adapter_beside([path.name for path in folder.iterdir()], name)
    config_files.check_config(read_facts(read_bytes(folder / MODEL_CONFIG, most=BOUNDS.size), name), name)
    code = permitted(folder) and brings_code(folder)
    error = RemoteCodeError if code else ModelError
    with config_files.loading_model(fault, folder, error, hint, weights=True), _prints_on_stderr(run=code):
        try:
            model, report = auto.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=code,
                output_loading_info=True,
                **options,
            )
        except RuntimeError as cause:
            if _IN_A_REPORT not in str(cause):
                raise
            if not code:
                _refuse_misfit(auto, folder, name, options.get("num_labels"))
            raise error(
                f"{fault}: its weights do not fit its {MODEL_CONFIG}.", hint=config_files.CONFIG_FAULT
            ) from cause
    return model, sorted(report["missing_keys"])


def _refuse_misfit(
    auto: "type[AutoModelForCausalLM | AutoModelForSequenceClassification]", folder: Path, name: str, classes: object
) -> None:
    """Refuses weights of other shapes than the config calls for, with the name of a tensor, if one is found."""
    import torch

    config = config_files.load_config(folder, name)
    if classes is not None:
        config.num_labels = classes
    with torch.device("meta"):
        model = auto.from_config(config, trust_remote_code=False)
    for file in sorted(folder.glob("*.safetensors")):
        stored = read_header(file).tensors
        check_shapes(model, {tensor: entry.shape for tensor, entry in stored.items()}, name)


@contextlib.contextmanager
def _prints_on_stderr(*, run: bool) -> Iterator[None]:
    """Sends what a repository's code prints, while it is `run`, to stderr: it is not part of a command's result."""
    with contextlib.redirect_stdout(sys.stderr) if run else contextlib.nullcontext():
        yield


def refuse_missing(tensors: Sequence[str], name: str, kind: str) -> None:
    """Refuses a checkpoint that lacks tensors.

    Raises:
        ModelError: It does; the message names one.
    """
    if tensors:
        raise ModelError(
            f"{name} lacks {len(tensors)} of its tensors, such as {tensors[0]}.",
            hint=f"Choose a repository that holds the whole {kind}.",
        )
