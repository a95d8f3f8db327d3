"""The loss is that of the model's own forward, on packed rows too, and needs no logits but those that carry loss."""

from contextlib import nullcontext

import pytest
import torch

from hubtune.data.batch import collate
from hubtune.data.tokenization import IGNORED, Example
from hubtune.models.row_attention import attending_by_rows
from hubtune.train.batching import Batcher
from hubtune.train.loss import SummedLoss, summed_loss
from tests.architectures import VOCABULARY, make_model


def _rows() -> list[Example]:
    generator = torch.Generator().manual_seed(2)
    rows = [torch.randint(1, VOCABULARY, (length,), generator=generator).tolist() for length in (7, 4, 11)]
    return [Example("", ids, [IGNORED] * number + ids[number:], truncated=False) for number, ids in enumerate(rows)]


def _own_sum(model, rows: list[Example]) -> torch.Tensor:
    return sum(
        model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])).loss * row.learned
        for row in rows
    )


@pytest.mark.parametrize("way", ["padded", "packed", "by rows"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox", "qwen2", "phi"])
def test_loss_and_gradients_are_those_of_the_rows_one_by_one(kind: str, way: str):
    model, rows = make_model(kind), _rows()
    if (bias := model.get_output_embeddings().bias) is not None:
        torch.nn.init.normal_(bias, generator=torch.Generator().manual_seed(3))
    theirs = _own_sum(model, rows)
    theirs.backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    loss = SummedLoss(model)
    assert not loss.own

    batch = Batcher(pad_id=0, packed=way != "padded", length=16, by_rows=way == "by rows")(rows)
    with attending_by_rows(model) if way == "by rows" else nullcontext():
        ours = loss(**batch)["loss"]
        ours.backward()

    # Three sequences of at most 11 tokens, two of 11, one of all 22.
    assert batch["input_ids"].shape == {"padded": (3, 11), "packed": (2, 11), "by rows": (1, 22)}[way]

    torch.testing.assert_close(ours, theirs)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("kind", "own"), [("llama", False), ("gpt2", False), ("gemma2", True), ("cohere", True), ("mixtral", True)]
)
def test_models_that_do_more_to_logits_or_loss_keep_their_own_forward(kind: str, own: bool):
    """Soft-capped logits, scaled logits, and the load-balancing loss of experts."""
    model, rows = make_model(kind), _rows()
    batch = Batcher(pad_id=0, packed=False, length=16)(rows)

    loss = summed_loss(model, batch)

    assert loss.own is own
    padded = collate(rows, 0)
    with torch.no_grad():
        expected = model(**padded).loss * sum(row.learned for row in rows)
        torch.testing.assert_close(loss(**batch)["loss"], expected)


def test_an_adapter_on_the_head_keeps_the_model_s_own_forward():
    import peft

    model = peft.get_peft_model(
        make_model("llama"), peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["lm_head", "q_proj"])
    )

    assert SummedLoss(model).own


def test_the_loss_is_exact_in_bf16_too():
    """A sum of thousands of losses has three digits in bf16."""
    model, rows = make_model("llama").to(torch.bfloat16), _rows()
    batch = Batcher(pad_id=0, packed=False, length=16)(rows)

    with torch.no_grad():
        loss = SummedLoss(model)(**batch)["loss"]
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.flatten(0, 1)[
            batch["places"]
        ]

    assert loss.dtype is torch.float32
    torch.testing.assert_close(
        loss, torch.nn.functional.cross_entropy(logits.float(), batch["targets"], reduction="sum")
    )
