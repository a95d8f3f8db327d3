"""What a base model's config.json tells before anything is loaded: whether it can be trained, and by which methods."""

from collections.abc import Collection, Mapping
from importlib.util import find_spec

from hubtune.config.training import TrainConfig
from hubtune.documents import parse_json_object
from hubtune.errors import ModelError
from hubtune.records.model_files import CONFIG, WEIGHTS_INDEX

Facts = Mapping[str, object]
"""The content of a config.json, a stranger's text: nothing in it is to be relied on without a look."""


def read_facts(content: bytes, name: str, file: str = CONFIG) -> Facts:
    """Reads a config.json, or another file of its kind.

    Raises:
        ModelError: It is no mapping in JSON.
    """
    return parse_json_object(content, f"{file} of {name}", error=ModelError)


def check_facts(facts: Facts, train: TrainConfig, name: str) -> None:
    """Refuses a base model that cannot be fine-tuned by the config's method.

    Args:
        facts: Its config.
        train: How it is to be trained.
        name: Its repository, for messages.

    Raises:
        ModelError: It is an encoder-decoder model, or is quantised and its own weights are to be trained; or 4 bits are
            asked for and nothing here computes with them.
    """
    if facts.get("is_encoder_decoder") is True:
        raise ModelError(
            f"{name} is an encoder-decoder model ({_kind(facts)}), and hubtune trains models of one stack.",
            hint="Choose a decoder, such as a GPT-2, Llama or Qwen model, or an encoder to classify with.",
        )
    if facts.get("quantization_config") and train.whole:
        raise ModelError(
            f"{name} is quantised already, and the method {train.method!r} trains the base's own weights, which "
            "rounded numbers cannot be.",
            hint="Name the full-precision model that it was made from, or train an adapter: `train.method: lora`.",
        )
    if train.method == "qlora":
        require_4bit()


def require_4bit() -> None:
    """Refuses where no package computes with weights of 4 bits.

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
    """Refuses a base model whose index names files that the repository does not hold.

    Raises:
        ModelError: One is missing, or the index cannot be read.
    """
    places = read_facts(index, name).get("weight_map")
    if not isinstance(places, dict):
        raise ModelError(f"{WEIGHTS_INDEX} of {name} does not name its shards.")
    missing = sorted({str(shard) for shard in places.values()} - set(files))
    if missing:
        raise ModelError(
            f"{name} lacks {len(missing)} of the files that hold its weights, such as {missing[0]}.",
            hint="Choose a revision that holds the whole model.",
        )


def _kind(facts: Facts) -> str:
    return str(facts.get("model_type", "unknown"))[:60]
