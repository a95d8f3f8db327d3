"""The merge record: which adapter was merged into which base, and how near the merged model is to the two together."""

from typing import Literal

from hubtune.records.base import Record
from hubtune.records.pins import Commit

TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)
"""What transformers loads a tokenizer and its chat template from.

They are copied byte for byte, so that the published tokenizer is the one that the model was trained with.
"""
MODEL_CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


class Tolerance(Record):
    """What a merge may differ by, in the number format of its weights.

    Attributes:
        relative_difference: Largest difference between logits, as a share of the largest logit.
        kl: Mean divergence, in nats per position.
        effect: How far from 1 the merged model's effect may be; null in records of versions that did not measure it.
    """

    relative_difference: float
    kl: float
    effect: float | None = None


class Fidelity(Record):
    """The merged model, loaded from disk, against the base model with the adapter on it.

    Attributes:
        reference: What the base was held in on the adapter's side.
        prompts: Number of prompts.
        positions: Number of tokens in all prompts, at each of which the logits were compared.
        max_difference: Largest absolute difference between two logits.
        mean_difference: Mean absolute difference.
        largest_logit: Largest absolute logit of base and adapter: what the differences are to be seen against.
        kl: Mean KL divergence from the adapter's distribution to the merged model's, in nats per position.
        greedy_agreement: Share of positions where both find the same token likeliest.
        base_max_difference: Largest absolute difference between the adapter's logits and those of the base alone.
        base_mean_difference: Mean of the same.
        effect: How much of what the adapter does to the base's logits the merged model does, by least squares: 1 for
            all of it, 0 for a merged model that is the base; null as in `Tolerance`.
        tolerance: What was allowed; null if the comparison is for information.
    """

    reference: Literal["full-precision base", "4-bit base"]
    prompts: int
    positions: int
    max_difference: float
    mean_difference: float
    largest_logit: float
    kl: float
    greedy_agreement: float
    base_max_difference: float
    base_mean_difference: float
    effect: float | None = None
    tolerance: Tolerance | None = None


class MergedSource(Record):
    """A repository of the Hub at the commit that was merged."""

    repo: str
    commit: Commit


class MergeRecord(Record):
    """What a merge did.

    Attributes:
        upstream: For a run: digests of its pins and its training record; empty for a published adapter.
        base: The base model.
        adapter: The adapter's repository; null for a run's own adapter.
        adapter_files: The adapter's files: name to sha256.
        merged_into: What the adapter was merged into.
        trained_against: What the adapter was trained on, by the run's record; a published adapter does not state it.
        dtype: The number format of most weights.
        shards: How many files hold the weights.
        changed_tensors: How many tensors differ from the base's.
        tied: Whether the merged model's head is its input embedding.
        untied: Whether the base's was, and the adapter treats the two differently.
        vocabulary: The number of tokens, where the adapter changed it.
        files: The merged model's files: name to sha256.
        fidelity: Against the full-precision base with the adapter.
        fidelity_quantized: Against the 4-bit base with the adapter, where that is what it was trained on.
    """

    upstream: dict[str, str]
    base: MergedSource
    adapter: MergedSource | None
    adapter_files: dict[str, str]
    merged_into: Literal["full-precision base"] = "full-precision base"
    trained_against: Literal["full-precision base", "4-bit base", "not stated"]
    dtype: str
    shards: int
    changed_tensors: int
    tied: bool
    untied: bool
    vocabulary: int | None
    files: dict[str, str]
    fidelity: Fidelity
    fidelity_quantized: Fidelity | None = None
