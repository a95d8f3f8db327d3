"""A base held in 4 bits is what QLoRA holds: NF4, scales quantized too, norms in fp32, computed in what was asked."""

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file

from hubtune.models.classifier import Classes
from hubtune.models.four_bit import load_base_4bit, load_classifier_4bit
from hubtune.models.pretrained import load_base

NAMES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_matrices_are_nf4_norms_fp32_and_the_rest_of_the_precision_that_is_computed_in(tiny_model, precision: str):
    model = load_base_4bit(tiny_model, "org/base", precision)

    quantised = {name for name, module in model.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)}
    assert len(quantised) in (8, 14)
    for name in quantised:
        layer = model.get_submodule(name)
        assert layer.weight.quant_state.quant_type == "nf4"
        assert layer.weight.quant_state.nested
        assert layer.compute_dtype == NAMES[precision]
    kinds = {name: value.dtype for name, value in model.named_parameters() if name.rpartition(".")[0] not in quantised}
    norms = {name for name, value in model.named_parameters() if "norm" in name or ".ln_" in name}
    assert norms
    assert {kinds[name] for name in norms} == {torch.float32}
    assert {kinds[name] for name in kinds.keys() - norms} == {NAMES[precision]}
    assert model(torch.arange(8)[None]).logits.dtype == NAMES[precision]


def test_a_matrix_of_any_width_is_read_as_it_was_rounded(llama):
    weights = load_file(llama / "model.safetensors")
    for name, layer in load_base_4bit(llama, "org/base", "fp32").named_modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            packed, state = layer.weight.data, layer.weight.quant_state
            off = bitsandbytes.functional.dequantize_4bit(packed, state) - weights[f"{name}.weight"]
            # NF4 leaves a tenth of a normal weight as error.
            assert off.norm() < 0.15 * weights[f"{name}.weight"].norm(), name


def test_it_says_nearly_what_the_base_says_and_the_same_in_every_precision(llama):
    ids = torch.arange(8, 24)[None]
    with torch.no_grad():
        base = load_base(llama, "org/base", "fp32")(ids).logits
        fine, coarse = (load_base_4bit(llama, "org/base", one)(ids).logits.float() for one in ("fp32", "bf16"))

    assert 0 < (fine - base).abs().mean() < base.abs().mean()
    assert (coarse - fine).abs().mean() < (fine - base).abs().mean() / 4


def test_a_norm_keeps_the_digits_that_the_precision_lacks(llama):
    weights = load_file(llama / "model.safetensors")
    norm = load_base_4bit(llama, "org/base", "bf16").model.norm
    hidden = torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(0)).bfloat16()

    wide = hidden.float()
    expected = wide * (wide.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * weights["model.norm.weight"]
    assert torch.equal(norm(hidden), expected.bfloat16())


def test_a_classifier_s_head_is_left_as_it_is(bert):
    model, fresh = load_classifier_4bit(bert, "org/base", "bf16", Classes(("a", "b"), False, 0))

    assert fresh == ["classifier"]
    assert model.bert.embeddings.word_embeddings.weight.dtype == torch.bfloat16
    assert isinstance(model.bert.encoder.layer[0].attention.self.query, bitsandbytes.nn.Linear4bit)
    assert {model.classifier.weight.dtype, model.bert.pooler.dense.weight.dtype} == {torch.bfloat16}
    assert model.bert.embeddings.LayerNorm.weight.dtype == torch.float32
