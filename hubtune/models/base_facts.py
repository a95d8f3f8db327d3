"""What the config.json and the index of a base model show before it is loaded: whether and how it can be trained."""

import math
import re
from collections.abc import Collection, Mapping
from importlib.util import find_spec

from hubtune.config.training import TrainConfig
from hubtune.documents import parse_json_object
from hubtune.errors import ModelError
from hubtune.records.release import MODEL_CONFIG, WEIGHTS_INDEX

_SIZES = frozenset(
    {
        *("hidden_size", "n_embd", "d_model", "dim", "intermediate_size", "n_inner", "ffn_dim", "d_ff", "vocab_size"),
        *(
            "num_hidden_layers",
            "n_layer",
            "n_layers",
            "num_layers",
            "num_attention_heads",
            "n_head",
            "n_heads",
            "head_dim",
        ),
        *("num_heads", "num_key_value_heads", "max_position_embeddings", "n_positions", "n_ctx", "hidden_dim"),
        *("num_experts", "num_local_experts", "n_routed_experts", "moe_intermediate_size", "type_vocab_size"),
    }
)
"""What architectures call the numbers that say how much is built."""
# Models without experts or kinds of text state so.
_OPTIONAL = frozenset(
    {"num_experts", "num_local_experts", "n_routed_experts", "moe_intermediate_size", "type_vocab_size"}
)
_MOST_LAYERS, _MOST_MODULES, _MOST_SIZE = 2_000, 200_000, 2**31
_MOST_ENTRIES = 100_000
# What says how much is built or held, in whatever part of a config, and the most that passes: the longest context of a
# model that is published is 10,485,760. The first that fits a key decides.
_COUNTS: tuple[tuple[re.Pattern[str], int | None], ...] = (
    # Said of a training or of a text to write, or no count at all.
    (re.compile(r"param|train|token_id|pixel|bytes|freq|scale|wave|theta|seed|^max_(new_tokens|length)$"), None),
    (re.compile(r"(^|_)num_(labels|classes)$"), _MOST_ENTRIES),
    (re.compile(r"^(num|n)_(\w+_)?layers?$"), _MOST_LAYERS),
    (re.compile(r"(^|_)(max|positions?|ctx|context|seq|sequence|seqlen|len|length|embeddings)(_|$)"), 1 << 24),
    (
        re.compile(
            r"(^|_)(num|n|d|size|dims?|heads?|width|hidden|inner|embd|ffn?|channels?|experts?|ranks?|groups?|blocks?"
            r"|kernels?|states?|depth|layers?|vocab|window)(_|$)"
        ),
        _MOST_SIZE,
    ),
)
# Of rotary positions; logarithms and divisions of theirs fail without saying of what.
_ROPE = re.compile(
    r"rope\w*\.(\w+\.)*(factor|beta_fast|beta_slow|(low|high)_freq_factor|\w*rope_theta)$|(^|\.)rope_theta$"
)
_SHOWN = 80
_OTHER_CONFIG = "Choose another revision or base model, or correct the config.json if the repository is yours."

Facts = Mapping[str, object]
"""The content of a config.json, a stranger's text: nothing in it is to be relied on without a look."""


def read_facts(content: bytes, name: str, file: str = MODEL_CONFIG) -> Facts:
    """Reads a config.json, or another file of its kind.

    Raises:
        ModelError: It is not a mapping in JSON.
    """
    return parse_json_object(content, f"{file} of {name}", error=ModelError)


def check_facts(facts: Facts, train: TrainConfig, name: str) -> None:
    """Refuses a base model that cannot be fine-tuned by the config's method.

    Args:
        facts: Its config.
        train: How it is to be trained.
        name: Its repository, for messages.

    Raises:
        ModelError: It is an encoder-decoder model, or is quantized and its own weights are to be trained; or 4 bits are
            asked for and nothing here computes with them.
    """
    if facts.get("is_encoder_decoder") is True:
        raise ModelError(
            f"{name} is an encoder-decoder model ({_kind(facts)}), and hubtune trains decoders, and encoders to "
            "classify.",
            hint="Choose a decoder, such as a GPT-2, Llama or Qwen model.",
        )
    if facts.get("quantization_config") and train.whole:
        raise ModelError(
            f"{name} is quantized, and the method {train.method!r} trains the base's own weights, which "
            "needs full precision.",
            hint="Name the full-precision model that it was made from, or train an adapter: `train.method: lora`.",
        )
    if train.method == "qlora":
        require_4bit()


def check_sizes(facts: Facts, name: str) -> None:
    """Refuses a config with impossible sizes, so that building the model takes a normal time.

    Raises:
        ModelError: A size is not a whole number above 0, is absurd, or a number is NaN; the message names the key.
    """
    parts = [facts, *(part for part in facts.values() if isinstance(part, dict))]
    for key, value in (item for part in parts for item in part.items()):
        if isinstance(value, float) and math.isnan(value):
            raise _odd(key, value, name, "is not a number")
        most = _largest(str(key))
        if most is None or value is None or isinstance(value, (list, dict)):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise _odd(key, value, name, "is not a whole number")
        if value < (0 if key in _OPTIONAL else 1):
            raise _odd(key, value, name, "is not above 0")
        if value > most:
            raise _odd(key, value, name, f"is beyond what any model has (at most {most:,})")
    for part in parts:
        _check_token_ids(part, facts, name)
    modules = max((_most(part, "layer") * _most(part, "expert") for part in parts), default=1)
    if modules > _MOST_MODULES:
        raise ModelError(
            f"{MODEL_CONFIG} of {name} states {modules:,} layers and experts, beyond what any model has.",
            hint=_OTHER_CONFIG,
        )


def _check_token_ids(part: Mapping[str, object], facts: Facts, name: str) -> None:
    """Refuses ids of special tokens that the vocabulary lacks; the vocabulary of a model of parts is its text's."""
    text = facts.get("text_config")
    tokens = part.get("vocab_size", text.get("vocab_size") if part is facts and isinstance(text, dict) else None)
    if not isinstance(tokens, int):
        return
    for key in ("pad_token_id", "bos_token_id", "eos_token_id"):
        stated = part.get(key)
        # torch counts negative ones from the end for the padding; of the others, -1 says that there is none.
        least = -tokens if key == "pad_token_id" else -1
        for index in stated if isinstance(stated, list) else [stated]:
            if isinstance(index, int) and not least <= index < tokens:
                shown = f"{stated:,}" if isinstance(stated, int) else str(stated)[:40]
                raise ModelError(
                    f"`{key}` in {MODEL_CONFIG} of {name} is {shown}, and the vocabulary has {tokens:,} tokens.",
                    hint=_OTHER_CONFIG,
                )


def check_numbers(facts: Facts, name: str) -> None:
    """Refuses counts, lists and mappings of impossible size anywhere in a config.

    Raises:
        ModelError: There is one; the message names its key with the parts that it is in.
    """
    left: list[tuple[str, object]] = [("", facts)]
    while left:
        place, value = left.pop()
        if isinstance(value, (dict, list)):
            if len(value) > _MOST_ENTRIES:
                raise ModelError(
                    f"`{_shown_key(place)}` in {MODEL_CONFIG} of {name} has {len(value):,} entries, beyond what "
                    f"any model "
                    f"has (at most {_MOST_ENTRIES:,}).",
                    hint=_OTHER_CONFIG,
                )
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            left += [(f"{place}.{key}" if place else str(key), part) for key, part in inner]
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            most = _most_of(place.rpartition(".")[2])
            if math.isnan(value):
                raise _odd(_shown_key(place), value, name, "is not a number")
            if _ROPE.search(place) and value <= 0:
                raise _odd(_shown_key(place), value, name, "is not above 0")
            if most is not None and abs(value) > most:
                raise _odd(_shown_key(place), value, name, f"is beyond what any model has (at most {most:,})")


def _most_of(key: str) -> int | None:
    """Returns the most that a number of a config may be by its key; None if that says no count."""
    return next((most for pattern, most in _COUNTS if pattern.search(key.lower())), None)


def _shown_key(place: str) -> str:
    return place if len(place) <= _SHOWN else f"…{place[-_SHOWN:]}"


def _largest(key: str) -> int | None:
    """Returns the most that a number of this name may be; None if it is not one of those that say how much is built."""
    if key not in _SIZES:
        return None
    return _MOST_LAYERS if "layer" in key else _MOST_SIZE


def _most(part: Mapping[str, object], word: str) -> int:
    found = [value for key, value in part.items() if key in _SIZES and word in key and isinstance(value, int)]
    return max(found, default=1)


def _odd(key: object, value: object, name: str, why: str) -> ModelError:
    return ModelError(
        f"`{str(key)[:80]}` in {MODEL_CONFIG} of {name} is {str(value)[:40]!r}, which {why}.", hint=_OTHER_CONFIG
    )


def require_4bit() -> None:
    """Refuses if no package computes with weights of 4 bits.

    Raises:
        ModelError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            "The method 'qlora' holds the base in 4 bits, and bitsandbytes, which computes with them, is not "
            "installed.",
            hint="Install it: pip install bitsandbytes; or use `train.method: lora`.",
        )


def check_shards(index: bytes, files: Collection[str], name: str) -> None:
    """Refuses a base model whose index names files that the repository lacks.

    Raises:
        ModelError: One is missing, or the index cannot be read.
    """
    missing = sorted(set(shards_of(index, name)) - set(files))
    if missing:
        raise ModelError(
            f"{name} lacks {len(missing)} of the files that hold its weights, such as {missing[0]}.",
            hint="Choose a revision that holds the whole model.",
        )


def shards_of(index: bytes, name: str) -> list[str]:
    """Returns the files that an index of shards names, without repeats.

    Raises:
        ModelError: It cannot be read, or names none.
    """
    places = read_facts(index, name, WEIGHTS_INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelError(
            f"{WEIGHTS_INDEX} of {name} does not name its shards.", hint="Choose a revision that holds the whole model."
        )
    return sorted({str(shard) for shard in places.values()})


def check_writes(facts: Facts, name: str) -> None:
    """Refuses an encoder as the base model for text generation.

    Raises:
        ModelError: It is one, such as BERT.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if facts.get("model_type") in MODEL_FOR_MASKED_LM_MAPPING_NAMES and facts.get("is_decoder") is not True:
        raise ModelError(
            f"{name} is an encoder ({_kind(facts)}): it cannot generate text.",
            hint="Choose a decoder, such as a GPT-2, Llama or Qwen model, or classify with it: "
            "`data[].format: classification`.",
        )


def _kind(facts: Facts) -> str:
    return str(facts.get("model_type", "unknown"))[:60]
