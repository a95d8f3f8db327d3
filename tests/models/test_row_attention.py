"""On the CPU, packed rows are attended to one by one where that gives what the model's own attention gives."""

import pytest
import torch

from hubtune.models.row_attention import attending_by_rows, can_attend_by_rows
from tests.architectures import make_model

LONGEST = 64


@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox", "qwen2", "opt"])
def test_rows_that_share_a_sequence_get_the_logits_that_they_get_alone(kind: str):
    model = make_model(kind).eval()
    rows = [torch.arange(1, length + 1)[None] for length in (9, 1, 30)]
    with torch.no_grad():
        alone = torch.cat([model(input_ids=row).logits[0] for row in rows])
        with attending_by_rows(model):
            together = model(
                input_ids=torch.cat(rows, dim=1),
                position_ids=torch.cat([torch.arange(row.shape[1])[None] for row in rows], dim=1),
                cu_seq_lens_q=torch.tensor([0, 9, 10, 40]),
                use_cache=False,
            ).logits[0]
        # Afterwards it heeds a mask again: what is masked before a row changes nothing.
        masked = model(
            input_ids=torch.tensor([[50, 1, 2]]),
            attention_mask=torch.tensor([[0, 1, 1]]),
            position_ids=torch.tensor([[0, 0, 1]]),
        ).logits[0, 1:]
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(masked, alone[:2])
    assert can_attend_by_rows(model, LONGEST)


@pytest.mark.parametrize("kind", ["gemma2", "bloom", "mamba"])
def test_other_attentions_are_left_as_they_are(kind: str):
    model = make_model(kind)
    own = model.config._attn_implementation

    assert not can_attend_by_rows(model, LONGEST)

    assert model.config._attn_implementation == own
    assert model(input_ids=torch.tensor([[1, 2, 3]])).logits.isfinite().all()


@pytest.mark.parametrize(("window", "by_rows"), [(LONGEST - 1, False), (LONGEST, True), (None, True)])
def test_a_window_that_is_shorter_than_a_row_needs_the_model_s_own_attention(window: int | None, by_rows: bool):
    model = make_model("mistral", sliding_window=window)

    assert can_attend_by_rows(model, LONGEST) is by_rows
