"""A probe tells a model from another one, and does not mind the small differences between processors."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from hubtune.errors import ModelError
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.models.release_model import LIKELIEST, PROMPTS, STEPS, TOLERANCES, replay, take_probe
from tests.tiny_models import CONTEXT

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@pytest.fixture
def model(tiny_model: Path) -> "PreTrainedModel":
    return load_base(tiny_model, "org/base", "fp32")


@pytest.fixture
def tokenizer(tiny_model: Path) -> "PreTrainedTokenizerBase":
    return load_tokenizer(tiny_model, "org/base")


def test_a_probe_holds_the_greedy_continuation_and_the_likeliest_logits(model, tokenizer):
    probe = take_probe(model, tokenizer)

    assert [prompt.text for prompt in probe] == list(PROMPTS)
    assert len(probe) == 8
    for prompt in probe:
        ids = torch.tensor([prompt.input_ids])
        generated = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=STEPS,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert prompt.tokens == generated[0, len(prompt.input_ids) :].tolist()
        assert [len(row) for row in prompt.logits] == [LIKELIEST] * STEPS


def test_the_same_model_replays_its_probe_and_its_bf16_form_within_that_precision_s_tolerance(
    tiny_model: Path, model, tokenizer
):
    probe = take_probe(model, tokenizer)

    same = replay(model, probe)
    rounded = replay(load_base(tiny_model, "org/base", "bf16"), probe)

    assert max(same.difference, same.shortfall) < TOLERANCES["fp32"] / 10
    assert TOLERANCES["fp32"] < rounded.difference < TOLERANCES["bf16"]


def test_a_model_with_one_changed_layer_strays_past_the_tolerance(model, tokenizer):
    probe = take_probe(model, tokenizer)
    with torch.no_grad():
        next(weight for name, weight in model.named_parameters() if "mlp" in name and weight.dim() == 2).mul_(1.5)

    assert replay(model, probe).difference > TOLERANCES["fp32"]


def test_a_model_that_answers_with_nan_is_infinitely_far(model, tokenizer):
    probe = take_probe(model, tokenizer)
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(float("nan"))

    assert replay(model, probe).difference == float("inf")


def test_a_model_with_a_smaller_vocabulary_is_another_model(model, tokenizer):
    probe = take_probe(model, tokenizer)
    model.resize_token_embeddings(20)

    with pytest.raises(ModelError, match="vocabulary ends at 19"):
        replay(model, probe)


def test_prompts_are_cut_to_what_the_model_can_read(model, tokenizer):
    whole = take_probe(model, tokenizer)
    short = take_probe(model, tokenizer, context=STEPS + 3)

    assert [prompt.input_ids for prompt in short] == [prompt.input_ids[-3:] for prompt in whole]
    assert all(len(prompt.input_ids) + STEPS <= CONTEXT for prompt in whole)
