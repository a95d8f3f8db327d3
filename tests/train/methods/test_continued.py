"""An adapter is trained further only where it fits the base and the config."""

from pathlib import Path

import pytest

from hubtune.config.load import parse_config
from hubtune.config.training import LoraConfig
from hubtune.errors import ConfigError, ModelError, TrainingError
from hubtune.models.pretrained import load_base
from hubtune.pin import check_adapter
from hubtune.records.base import Pin
from hubtune.train.methods.lora import continue_lora
from tests.sample_runs import BASE_REPO, sample_pins


@pytest.fixture
def adapter(train_on, llama: Path) -> Path:
    return train_on(llama, "train.epochs=1").run.adapter_dir


def _continue(llama: Path, adapter: Path, pin: Pin, **lora: object):
    return continue_lora(load_base(llama, BASE_REPO, "fp32"), LoraConfig(**{"r": 4, **lora}), pin, adapter, "org/first")


def test_what_does_not_fit_is_refused_with_what_to_set(llama: Path, adapter: Path):
    pin = sample_pins().base

    with pytest.raises(TrainingError, match=r"has r 4, and train\.lora\.r is 8") as refused:
        _continue(llama, adapter, pin, r=8, alpha=3)
    assert "`train.lora.r: 4`, `train.lora.alpha: 32" in str(refused.value.hint)
    with pytest.raises(TrainingError, match=f"was trained on org/base at {pin.commit}, and the base here is org/other"):
        _continue(llama, adapter, pin.model_copy(update={"repo": "org/other"}))
    with pytest.raises(TrainingError, match="fits the weights that it was trained on"):
        _continue(llama, adapter, pin.model_copy(update={"commit": "e" * 40}))

    trained = {name for name, weight in _continue(llama, adapter, pin).named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_a_repository_without_an_adapter_is_refused():
    with pytest.raises(ModelError, match=r"is not an adapter .* it has no adapter_config\.json"):
        check_adapter("org/first", "c" * 40, ["model.safetensors", "config.json"])


def test_methods_without_adapters_do_not_go_on_from_one():
    with pytest.raises(ConfigError) as refused:
        parse_config("base: {repo: a/b, adapter: {repo: a/c}}\ndata: [{repo: a/d}]\ntrain: {method: full}")

    assert "the method is 'full'" in " ".join(refused.value.details)
