"""The adapter sits on the right layers of each architecture, is all that is trained, and names its base."""

from pathlib import Path

import pytest
import torch

from hubtune.config.training import LoraConfig
from hubtune.errors import TrainingError
from hubtune.models.pretrained import load_base
from hubtune.train.methods.lora import adapted_layers, add_lora
from tests.sample_runs import BASE_COMMIT, BASE_REPO, sample_pins

GPT2_LAYERS = ["c_attn", "c_fc", "c_proj"]
LLAMA_LAYERS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def _adapted(folder: Path, precision: str = "fp32", **lora: object):
    return add_lora(load_base(folder, BASE_REPO, precision), LoraConfig.model_validate(lora), sample_pins().base)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_only_adapter_weights_are_trained_and_in_fp32(tiny_model: Path, precision: str):
    model = _adapted(tiny_model, precision)

    for name, weight in model.named_parameters():
        assert weight.requires_grad == ("lora_" in name), name
        if weight.requires_grad:
            assert weight.dtype == torch.float32, name
        else:
            assert weight.dtype == (torch.float32 if precision == "fp32" else torch.bfloat16), name


@pytest.mark.parametrize(("model", "layers"), [("gpt2", GPT2_LAYERS), ("llama", LLAMA_LAYERS)])
def test_by_default_every_linear_layer_but_the_output_is_adapted(tiny, model: str, layers: list[str]):
    assert adapted_layers(_adapted(tiny(model))) == layers


def test_a_module_to_train_whole_that_the_base_lacks_is_refused_with_those_it_has(llama: Path):
    with pytest.raises(TrainingError, match="no modules named lm_haed, score that") as raised:
        _adapted(llama, modules_to_save=["lm_haed", "lm_head", "score"])

    assert {"lm_head", "embed_tokens", "norm"} <= set(str(raised.value.hint).rstrip(".").split(": ")[1].split(", "))


def test_named_layers_alone_are_adapted(llama: Path):
    assert adapted_layers(_adapted(llama, target_modules=["v_proj", "q_proj"])) == ["q_proj", "v_proj"]


@pytest.mark.parametrize(("model", "fused"), [("gpt2", True), ("llama", False)])
def test_fan_in_fan_out_fits_how_the_layers_store_their_weights(tiny, model: str, fused: bool):
    assert _adapted(tiny(model)).peft_config["default"].fan_in_fan_out is fused


def test_the_adapter_names_its_base_by_hub_id_and_commit(tiny_model: Path):
    adapter = _adapted(tiny_model).peft_config["default"]

    assert (adapter.base_model_name_or_path, adapter.revision) == (BASE_REPO, BASE_COMMIT)


def test_rank_alpha_and_dropout_are_the_config_s(llama: Path):
    adapter = _adapted(llama, r=3, alpha=7, dropout=0.25).peft_config["default"]

    assert (adapter.r, adapter.lora_alpha, adapter.lora_dropout) == (3, 7, 0.25)


def test_a_fresh_adapter_changes_nothing(tiny_model: Path):
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = load_base(tiny_model, BASE_REPO, "fp32")(ids).logits
        after = _adapted(tiny_model)(ids).logits

    assert torch.equal(before, after)


@pytest.mark.parametrize(("model", "layers"), [("gpt2", GPT2_LAYERS), ("llama", LLAMA_LAYERS)])
def test_unknown_layers_are_refused_with_the_names_that_there_are(tiny, model: str, layers: list[str]):
    with pytest.raises(TrainingError, match="query_proj") as caught:
        _adapted(tiny(model), target_modules=["query_proj"])

    assert f"can name: {', '.join(layers)};" in str(caught.value.hint)


def test_one_unknown_layer_among_known_ones_is_refused(llama: Path):
    """Else a misspelled layer would silently stay untrained."""
    with pytest.raises(TrainingError, match="query_proj"):
        _adapted(llama, target_modules=["q_proj", "query_proj"])


def test_a_pattern_chooses_layers_by_their_whole_names(llama: Path):
    model = _adapted(llama, target_modules=r".*layers\.1\..*[qv]_proj")

    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 2
    assert all(".layers.1." in name for name in adapted)
    # The adapter names them: a pattern could be made to take for ever wherever it is loaded.
    assert sorted(model.peft_config["default"].target_modules) == [
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.self_attn.v_proj",
    ]


def test_a_pattern_that_fits_nothing_is_refused_with_names_that_there_are(llama: Path):
    with pytest.raises(TrainingError, match="fits the whole name of no layer") as caught:
        _adapted(llama, target_modules="q_proj")

    assert "model.layers.0.self_attn.q_proj" in str(caught.value.hint)
