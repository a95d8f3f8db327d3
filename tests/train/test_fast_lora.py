"""The faster adapted layers give peft's numbers."""

import peft
import pytest
import torch

from hubtune.train.fast_lora import draw_dropped, fast_adapters, zero_dropped
from tests.architectures import VOCABULARY, make_model
from tests.tiny_models import make_adapter_act


class _SameDraws(torch.nn.Dropout):
    """A dropout for peft's layers that draws as the faster ones do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * zero_dropped(torch.ones_like(x), draw_dropped(x, self.p)) / (1 - self.p)


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
    for module in model.modules():
        if dropout and hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = _SameDraws(dropout)
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


@pytest.mark.parametrize("drop", [0.05, 0.5, 0.999])
def test_dropout_drops_its_share_and_draws_by_the_seed(drop: float):
    x = torch.ones(301, 1001)
    torch.manual_seed(1)
    kept, other = (zero_dropped(x.clone(), draw_dropped(x, drop)) for _ in range(2))
    torch.manual_seed(1)
    again = zero_dropped(x.clone(), draw_dropped(x, drop))

    share = 1 - drop
    deviation = (share * drop / x.numel()) ** 0.5
    assert abs(kept.mean().item() - share) < 5 * deviation
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(kept, again)
    assert not torch.equal(kept, other)
    # Elements are independent of each other: neighbours agree as often as chance has it.
    flat = kept.flatten()
    agree = share**2 + drop**2
    for apart in (1, 2, 3, 20):
        found = (flat[:-apart] == flat[apart:]).float().mean().item()
        assert abs(found - agree) < 6 * (agree * (1 - agree) / len(flat)) ** 0.5 + 2 * deviation


@pytest.mark.parametrize("drop", [1e-6, 0.05, 0.5])
def test_every_place_of_few_elements_is_dropped_by_the_same_chance(drop: float):
    torch.manual_seed(3)
    trials = 2_000
    found = torch.stack([zero_dropped(torch.ones(3, 5), draw_dropped(torch.ones(3, 5), drop)) for _ in range(trials)])

    assert (found.mean(0) - (1 - drop)).abs().max() < 5 * (drop * (1 - drop) / trials) ** 0.5 + 1e-3
