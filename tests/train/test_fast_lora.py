"""The faster adapted layers give peft's numbers."""

import peft
import pytest
import torch

from hubtune.train.fast_lora import fast_adapters
from tests.architectures import VOCABULARY, make_model
from tests.tiny_models import make_adapter_act


def _model(kind: str, **options: object) -> torch.nn.Module:
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", **options)
    model = peft.get_peft_model(make_model(kind), lora)
    make_adapter_act(model)
    return model


def _outcome(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    model.zero_grad()
    ids = torch.arange(1, 25).reshape(2, 12) % VOCABULARY
    torch.manual_seed(5)
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    grads = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
    return {"loss": loss.detach(), **grads}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_loss_and_gradients_are_peft_s(kind: str, dropout: float):
    model = _model(kind, lora_dropout=dropout).train()
    expected = _outcome(model)

    with fast_adapters(model) as layers:
        found = _outcome(model)

    assert layers > 0
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(_outcome(model)["loss"], expected["loss"], rtol=0, atol=0)


def test_an_adapter_of_another_kind_keeps_peft_s_forward():
    with fast_adapters(_model("llama", use_dora=True)) as layers:
        assert layers == 0


def test_a_bf16_base_keeps_its_format_and_the_adapter_its_gradients_in_fp32():
    model = _model("llama").train()
    model.get_base_model().to(torch.bfloat16)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.float()

    with fast_adapters(model):
        found = _outcome(model)

    assert {value.dtype for name, value in found.items() if name != "loss"} == {torch.float32}
