"""A base model that cannot be trained is refused by its config.json, before its weights are fetched."""

import json
import math
import sys

import pytest

from hubtune.config.training import TrainConfig
from hubtune.errors import ModelError
from hubtune.models.base_facts import check_facts, check_numbers, check_shards, read_facts

LLAMA = {"model_type": "llama"}


def _train(method: str) -> TrainConfig:
    return TrainConfig.model_validate({"method": method})


@pytest.mark.parametrize(
    ("facts", "method", "said"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "lora", r"encoder-decoder model \(t5\)"),
        ({**LLAMA, "quantization_config": {"bits": 4}}, "full", "quantized, and the method 'full'"),
        ({**LLAMA, "quantization_config": {"bits": 4}}, "freeze", "quantized, and the method 'freeze'"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(facts, method, said):
    with pytest.raises(ModelError, match=said) as refused:
        check_facts(facts, _train(method), "org/base")

    assert refused.value.hint


@pytest.mark.parametrize(
    ("facts", "method"),
    [
        (LLAMA, "full"),
        ({**LLAMA, "quantization_config": {"bits": 4}}, "lora"),
    ],
)
def test_what_can_be_trained_passes(facts, method):
    check_facts(facts, _train(method), "org/base")


def test_four_bits_without_what_computes_with_them_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)

    with pytest.raises(ModelError, match="bitsandbytes, which computes with them, is not installed") as refused:
        check_facts(LLAMA, _train("qlora"), "org/base")

    assert "pip install bitsandbytes" in str(refused.value.hint)


def test_a_missing_shard_is_named():
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()

    check_shards(index, ["model-1.safetensors", "model-2.safetensors"], "org/base")
    with pytest.raises(ModelError, match=r"lacks 1 of the files .* such as model-2\.safetensors"):
        check_shards(index, ["model-1.safetensors"], "org/base")


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff"])
def test_a_config_that_is_no_mapping_is_refused(content):
    with pytest.raises(ModelError, match=r"config\.json of org/base"):
        read_facts(content, "org/base")


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"num_labels": 300_000_000}, "num_labels"),
        ({"id2label": {str(number): "x" for number in range(400_000)}}, "id2label"),
        ({"max_seq_len": 2_000_000_000}, "max_seq_len"),
        ({"attn_config": {"max_seq_len": 2_000_000_000}}, r"attn_config\.max_seq_len"),
        ({"text_config": {"parts": [{"n_positions": 2_000_000_000}]}}, r"text_config\.parts\.0\.n_positions"),
        ({"text_config": {"num_hidden_layers": 1_000_000}}, r"text_config\.num_hidden_layers"),
        ({"vision_config": {"num_position_embeddings": 1e12}}, r"vision_config\.num_position_embeddings"),
        ({"mamba_d_state": 1 << 40}, "mamba_d_state"),
        ({"block_size": -(1 << 60)}, "block_size"),
        ({"eos_token_id": [2] * 1_000_000}, "eos_token_id"),
        ({"layer_types": ["full_attention"] * 3_000_000}, "layer_types"),
        ({"max_position_embeddings": math.inf}, "max_position_embeddings"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_count_that_no_model_has_is_refused_with_its_key_in_whatever_part_it_is(facts, key):
    with pytest.raises(
        ModelError, match=rf"`{key}` in config\.json of org/base .*beyond what any model has"
    ) as refused:
        check_numbers(facts, "org/base")

    assert refused.value.hint


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"rope_theta": -1e4}, "rope_theta"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": -5.0}}, r"rope_parameters\.factor"),
        ({"text_config": {"rope_scaling": {"factor": 0}}}, r"text_config\.rope_scaling\.factor"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 0}}}, r"rope_parameters\.full_attention\.rope_theta"),
        ({"rope_scaling": {"high_freq_factor": -math.inf}}, r"rope_scaling\.high_freq_factor"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_numbers_of_positions_that_have_no_logarithm_are_refused_with_their_key(facts, key):
    with pytest.raises(ModelError, match=rf"`{key}` in config\.json of org/base is .*, which is not above 0"):
        check_numbers(facts, "org/base")


def test_numbers_of_real_configs_pass():
    check_numbers(
        {
            "max_position_embeddings": 10_485_760,
            "vocab_size": 1_048_576,
            "num_hidden_layers": 126,
            "num_experts": 512,
            "max_length": 10**30,
            "rope_theta": 10_000_000_000,
            "rope_parameters": {"original_max_position_embeddings": 8192, "long_factor": [1.0] * 64, "factor": 1e6},
            "num_parameters": 671_026_419_200,
            "training": {"num_train_tokens": 15_000_000_000_000},
            "sliding_window": None,
            "use_cache": True,
            "n_positions": -1,
            "attn_config": {"attn_type": "multihead_attention", "alibi_bias_max": 8},
            "vision_config": {"image_size": 448, "max_pixels": 1_000_000_000},
            "id2label": {str(number): f"LABEL_{number}" for number in range(21_843)},
            "quantization_config": {"ignore": [f"model.layers.{number}" for number in range(40_000)]},
        },
        "org/base",
    )
