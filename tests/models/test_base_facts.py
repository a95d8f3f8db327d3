"""A base model that cannot be trained is refused by its config.json, before its weights are fetched."""

import json
import sys

import pytest

from hubtune.config.training import TrainConfig
from hubtune.errors import ModelError
from hubtune.models.base_facts import check_facts, check_shards, read_facts

LLAMA = {"model_type": "llama"}


def _train(method: str) -> TrainConfig:
    return TrainConfig.model_validate({"method": method})


@pytest.mark.parametrize(
    ("facts", "method", "said"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "lora", r"encoder-decoder model \(t5\)"),
        ({**LLAMA, "quantization_config": {"bits": 4}}, "full", "quantised, and the method 'full'"),
        ({**LLAMA, "quantization_config": {"bits": 4}}, "freeze", "quantised, and the method 'freeze'"),
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
