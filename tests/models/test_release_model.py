"""A release loads from its own files and its base's as peft and transformers load them, with its own settings."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from hubtune.config.training import LoraConfig
from hubtune.errors import ModelError
from hubtune.models.pretrained import load_base
from hubtune.models.release_model import load_release
from hubtune.train.methods.lora import add_lora
from hubtune.train.methods.method import save_adapter
from tests.sample_runs import BASE_REPO, sample_pins
from tests.tiny_models import make_adapter_act

NAME = "lab/tuned"
IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture
def adapter(chat: Path, tmp_path: Path) -> Path:
    """A release's folder: an adapter that acts, and the tokenizer."""
    model = add_lora(load_base(chat, BASE_REPO, "fp32"), LoraConfig(r=4), sample_pins().base)
    make_adapter_act(model)
    save_adapter(model, tmp_path / "release", {"generation_config.json": '{"max_new_tokens": 7, "eos_token_id": [3]}'})
    for path in (*chat.glob("tokenizer*"), chat / "chat_template.jinja"):
        shutil.copy(path, tmp_path / "release")
    return tmp_path / "release"


def test_an_adapter_says_what_it_says_when_peft_loads_it(adapter: Path, chat: Path):
    model, tokenizer = load_release(adapter, chat, "fp32", NAME)

    with torch.no_grad():
        reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(chat), str(adapter))(IDS).logits
        assert torch.equal(model(IDS).logits, reference)
        assert not torch.equal(load_base(chat, BASE_REPO, "fp32")(IDS).logits, reference)
    assert tokenizer.chat_template == (chat / "chat_template.jinja").read_text()


def test_a_whole_model_needs_no_base(chat: Path):
    model, _ = load_release(chat, None, "fp32", NAME)

    with torch.no_grad():
        assert torch.equal(model(IDS).logits, load_base(chat, BASE_REPO, "fp32")(IDS).logits)


def test_the_settings_are_the_release_s_and_not_the_base_s(adapter: Path, chat: Path):
    model, _ = load_release(adapter, chat, "fp32", NAME)

    assert (model.generation_config.max_new_tokens, model.generation_config.eos_token_id) == (7, [3])
    assert model.generate(input_ids=IDS, pad_token_id=0).shape[1] <= IDS.shape[1] + 7


def test_a_release_without_settings_gets_safe_ones(adapter: Path, chat: Path):
    (adapter / "generation_config.json").unlink()

    settings = load_release(adapter, chat, "fp32", NAME)[0].generation_config

    assert (settings.do_sample, settings.eos_token_id) == (False, [0, 2])


@pytest.mark.parametrize(
    "content", ["not JSON", "[1]", *map(json.dumps, [{"max_new_tokens": -1}, {"num_beams": 200_000}])]
)
def test_settings_that_cannot_be_used_are_told(adapter: Path, chat: Path, content: str):
    (adapter / "generation_config.json").write_text(content)

    with pytest.raises(ModelError, match=r"generation_config.json of lab/tuned"):
        load_release(adapter, chat, "fp32", NAME)


def test_a_release_without_a_tokenizer_is_refused_though_the_base_has_one(adapter: Path, chat: Path):
    for path in adapter.glob("tokenizer*"):
        path.unlink()

    with pytest.raises(ModelError, match="tokenizer of lab/tuned"):
        load_release(adapter, chat, "fp32", NAME)


def test_a_release_on_another_base_is_refused(adapter: Path, gpt2: Path):
    with pytest.raises(ModelError, match="adapter"):
        load_release(adapter, gpt2, "fp32", NAME)


def test_a_release_whose_adapter_would_not_act_is_refused(adapter: Path, chat: Path):
    """Else the base's own text would be taken for the release's."""
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {name.replace("layers", "blocks"): weight for name, weight in weights.items()},
        adapter / "adapter_model.safetensors",
    )

    with pytest.raises(ModelError, match=rf"{NAME} holds .*blocks.* fits no module"):
        load_release(adapter, chat, "fp32", NAME)
