"""Tokens that a run adds to its base model: in the tokenizer, in the embedding, and in the head.

The embedding of a new token starts as the mean of the existing ones (Hewitt, 2021), which keeps the other tokens'
probabilities almost unchanged. Nothing is random, so every load gives the new rows the same numbers.
"""

import json
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.files import scratch_folder
from hubtune.models.adapter_settings import read_settings
from hubtune.models.adapters import saved_rows
from hubtune.models.architecture import read_structure
from hubtune.models.base_facts import Facts
from hubtune.models.pretrained import save_tokenizer
from hubtune.models.remote_code import needs_code
from hubtune.records.release import MODEL_CONFIG, TOKENIZER, TOKENIZER_FILES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def add_tokens(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[str], name: str) -> None:
    """Adds tokens to a tokenizer, after its own and in order. They are recognized everywhere, in data too.

    Args:
        tokenizer: A base's.
        tokens: The texts of the tokens.
        name: The base's id, for messages.

    Raises:
        ModelError: It has one of them already, or cannot be saved with new ones.
    """
    from tokenizers import AddedToken

    if not tokens:
        return
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer of {name} cannot be written as {TOKENIZER}, and tokens can be added to such a file only.",
            hint="Leave `train.added_tokens` out, or choose a base model with that file.",
        )
    refuse_known(tokens, tokenizer.get_vocab(), name)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in tokens])


def stated_tokens(facts: Facts) -> set[str]:
    """Returns the tokens of a tokenizer.json, if they are in the usual form."""
    model, added = facts.get("model"), facts.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    found = {str(token) for token in vocabulary} if isinstance(vocabulary, dict) else set()
    entries = added if isinstance(added, list) else []
    return found | {str(entry.get("content")) for entry in entries if isinstance(entry, dict)}


def refuse_known(tokens: Sequence[str], vocabulary: Collection[str], name: str) -> None:
    """Refuses to add tokens that the tokenizer already has.

    Raises:
        ModelError: It has one of the tokens.
    """
    known = [token for token in tokens if token in vocabulary]
    if known:
        raise ModelError(
            f"The tokenizer of {name} has the token {known[0]!r} already.",
            hint="Leave it out of `train.added_tokens`: it can be used as it is.",
        )


def refuse_head_with_bias(facts: Facts, name: str) -> None:
    """Refuses to train rows for new tokens if the head has a bias, according to the base model's config.json.

    Raises:
        ModelError: The head has one; or no causal language model can be built by the config.
    """
    # What needs code is built when it is loaded, and looked at then.
    if find_spec("transformers") is None or needs_code(facts):
        return
    with scratch_folder() as folder:
        (folder / MODEL_CONFIG).write_text(json.dumps(facts), encoding="utf-8")
        structure = read_structure(folder)
    if f"{structure.head}.bias" in structure.parameters:
        raise _head_with_bias(name)


def _head_with_bias(name: str) -> ModelError:
    return ModelError(
        f"The head of {name} has a bias, which peft leaves out where rows for new tokens are trained.",
        hint="Use `train.method: full`, or leave `train.added_tokens` out.",
    )


def tokenizer_files(tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
    """Returns the files that the tokenizer, new tokens included, is loaded from: name to text."""
    with scratch_folder() as folder:
        save_tokenizer(tokenizer, folder)
        return {
            name: (folder / name).read_text(encoding="utf-8") for name in TOKENIZER_FILES if (folder / name).is_file()
        }


def enlarge(model: "PreTrainedModel", size: int) -> int | None:
    """Extends a model's embedding and head to `size` rows, if they have fewer.

    Args:
        model: A base, without an adapter.
        size: Tokens of the tokenizer.

    Returns:
        The new number of rows; None if there were enough, as some bases have spare ones.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if size <= rows:
        return None
    resize(model, size)
    return size


def resize(model: "PreTrainedModel", size: int) -> None:
    """Resizes a model's embedding and head to this number of rows."""
    rows = model.get_input_embeddings().weight.shape[0]
    # Else transformers draws the new rows around the mean.
    model.resize_token_embeddings(size, mean_resizing=False)
    if size > rows:
        begin_as_mean(model, range(rows, size))


def begin_as_mean(model: "PreTrainedModel", tokens: Sequence[int]) -> None:
    """Sets the rows of tokens, in the embedding and in the head, to the mean of those before the first of them."""
    import torch

    first = min(tokens)
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        for values in (getattr(module, "weight", None), getattr(module, "bias", None)):
            # A head without the tokens is a classifier's.
            if values is not None and len(values) > first:
                mean = values.detach()[:first].mean(dim=0, dtype=torch.float32)
                with torch.no_grad():
                    values[list(tokens)] = mean.to(values.dtype)


def enlarge_for(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", adapter: Path, name: str) -> None:
    """Extends a base model for the tokens of an adapter; without such tokens, it stays unchanged.

    It brings them as rows of their own, or with an embedding that it holds whole.

    Args:
        model: The base.
        tokenizer: The release's.
        adapter: The adapter's folder.
        name: As in `hubtune.models.adapters.load_adapter`.

    Raises:
        ModelError: The adapter cannot be read.
    """
    if read_settings(adapter, name).trainable_token_indices:
        enlarge(model, len(tokenizer))
        return
    embedding = model.get_input_embeddings()
    place = next(place for place, module in model.named_modules() if module is embedding)
    enlarge(model, saved_rows(adapter, place, name))


def token_modules(model: "PreTrainedModel", whole: Sequence[str], name: str) -> list[str]:
    """Returns the names of the modules for which an adapter needs new rows: the embedding, and an untied head.

    Args:
        model: The base.
        whole: Names of modules that the adapter holds whole.
        name: The base's id, for messages.

    Raises:
        ModelError: The head has a bias, which peft omits if rows are trained; or it is tied to the embedding,
            and one of them alone is held whole.
    """
    names = {module: place for place, module in model.named_modules()}
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    held = {
        module: any(f".{names[module]}".endswith(f".{kept}") for kept in whole)
        for module in (embedding, head)
        if module
    }
    if head is not None and head.weight is embedding.weight and held[embedding] != held[head]:
        # What is held whole gets weights of its own; the other keeps those of the base, whose new rows no file holds.
        one, other = (embedding, head) if held[embedding] else (head, embedding)
        raise ModelError(
            f"The head of {name} is its embedding, and `train.lora.modules_to_save` names {names[one]} alone: the rows "
            f"of {names[other]} for the new tokens would be in no file, and others at each load.",
            hint="Leave it out, as the rows of `train.added_tokens` are trained anyway; or name both: "
            f"`modules_to_save: [{names[embedding].rpartition('.')[2]}, {names[head].rpartition('.')[2]}]`.",
        )
    modules: list[torch.nn.Module] = [embedding]
    if head is not None and head.weight is not embedding.weight:
        modules.append(head)
    if getattr(head, "bias", None) is not None:
        raise _head_with_bias(name)
    return [names[module] for module in modules if not held[module]]
