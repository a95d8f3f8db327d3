"""Every method trains what it says, leaves the rest as it was to the bit, and saves what the ecosystem loads again."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from hubtune.config.load import parse_config
from hubtune.errors import ConfigError, ModelError, TrainingError

WEIGHTS = "model.safetensors"
HOT = "train.learning_rate=0.02"


def _changed(before: Path, after: Path) -> set[str]:
    old, new = load_file(before / WEIGHTS), load_file(after / WEIGHTS)
    assert old.keys() == new.keys()
    assert {name: value.dtype for name, value in old.items()} == {name: value.dtype for name, value in new.items()}
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_full_fine_tuning_changes_every_tensor_and_learns(train_on, tiny_model: Path):
    trained = train_on(tiny_model, "train.method=full", "train.epochs=30", HOT)

    weights = load_file(tiny_model / WEIGHTS)
    assert _changed(tiny_model, trained.run.model_dir) == weights.keys()
    assert trained.record.trainable_parameters == trained.record.total_parameters
    assert trained.record.final_loss < trained.record.first_loss / 3
    assert not trained.run.adapter_dir.exists()


@pytest.mark.parametrize(
    ("override", "blocks"),
    [("train.last_blocks=1", {"1"}), ("train.last_blocks=2", {"0", "1"}), ("train.lora.r=4", {"0", "1"})],
)
def test_freezing_trains_the_last_blocks_and_what_follows_them(train_on, tiny_model: Path, override, blocks):
    trained = train_on(tiny_model, "train.method=freeze", override, HOT)

    changed = _changed(tiny_model, trained.run.model_dir)
    assert {part for name in changed for part in name.split(".") if part.isdigit()} == blocks
    assert not any("wte" in name or "embed" in name for name in changed)
    assert any("ln_f" in name or name.endswith("model.norm.weight") for name in changed)
    assert 0 < trained.record.trainable_parameters < trained.record.total_parameters


def test_patterns_choose_what_is_trained(train_on, gpt2: Path):
    trained = train_on(gpt2, "train.method=freeze", "train.trainable=['*.h.0.mlp.*']", HOT)

    assert {".h.0.mlp." in f".{name}" for name in _changed(gpt2, trained.run.model_dir)} == {True}
    assert trained.record.target_modules == ["*.h.0.mlp.*"]


def test_what_is_frozen_is_shown(train_on, llama: Path):
    said = train_on(llama, "train.method=freeze", "train.last_blocks=1").listener.said

    assert any("model.layers.0: frozen" in line for line in said)
    assert any("model.layers.1:" in line and "trained of" in line for line in said)


@pytest.mark.parametrize("method", ["full", "freeze"])
def test_a_whole_model_loads_by_itself_with_its_settings(train_on, tiny_model: Path, method):
    folder = train_on(tiny_model, f"train.method={method}", HOT).run.model_dir

    tuned = AutoModelForCausalLM.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    ids = torch.arange(8)[None]
    with torch.no_grad():
        assert (tuned(ids).logits - base(ids).logits).abs().max() > 1e-3
    assert tuned.generation_config.do_sample is False


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("train.last_blocks=3", "has 2 blocks"),
        ("train.trainable=['*.missing.*']", "fits no parameter"),
    ],
)
def test_what_cannot_be_trained_is_named(train_on, gpt2: Path, override, named):
    with pytest.raises(TrainingError, match=named):
        train_on(gpt2, "train.method=freeze", override)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("train: {method: full}\npublish: {artifact: adapter}", "complete weights"),
        ("train: {method: freeze, last_blocks: 1, trainable: [a]}", "keep one"),
        ("train: {method: lora, last_blocks: 1}", "goes with the method 'freeze'"),
        ("train: {learning_rate: .nan}", "finite number"),
        ("train: {learning_rate: -1.0e-4}", "greater than 0"),
        ("train: {epochs: 0}", "greater than 0"),
        ("train: {epochs: .inf}", "finite number"),
        ("train: {steps: 0}", "at least 1"),
        ("train: {steps: 3, epochs: 1}", "keep one"),
        ("train: {lora: {r: 0}}", "at least 1"),
        ("train: {lora: {dropout: 1}}", "less than 1"),
        ("train: {lora: {alpha: .inf}}", "finite number"),
        ("train: {method: freeze, last_blocks: 0}", "at least 1"),
        ("train: {method: full}\npublish: {repo: a/b, counterpart: a/c}", "makes none"),
    ],
)
def test_settings_that_make_no_sense_are_refused(text, named):
    with pytest.raises(ConfigError) as refused:
        parse_config(f"base: {{repo: a/b}}\ndata: [{{repo: a/c}}]\n{text}")

    assert named in " ".join(refused.value.details)


def test_a_whole_model_is_published_as_complete_weights_and_trained_slower_unless_the_config_says_otherwise():
    config = parse_config("base: {repo: a/b}\ndata: [{repo: a/c}]\ntrain: {method: full}")

    assert config.publish.artifact == "merged"
    assert config.train.learning_rate == 2e-5


def test_qlora_trains_an_adapter_on_a_base_of_4_bits(train_on, llama: Path):
    trained = train_on(llama, "train.method=qlora", "train.epochs=30", HOT)

    assert trained.record.method == "qlora"
    assert trained.record.final_loss < trained.record.first_loss / 2
    weights = load_file(trained.run.adapter_dir / "adapter_model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert not any("quant" in name or "base_layer" in name for name in weights)


@pytest.mark.parametrize("method", ["lora", "freeze"])
def test_a_base_whose_weights_are_no_numbers_is_refused_with_the_tensor_s_name(train_on, llama, tmp_path, method):
    folder = Path(shutil.copytree(llama, tmp_path / "damaged"))
    weights = load_file(folder / WEIGHTS)
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = torch.nan
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    with pytest.raises(ModelError, match=r"not finite .* in model\.layers\.1\.mlp\.up_proj\.weight"):
        train_on(folder, f"train.method={method}")
