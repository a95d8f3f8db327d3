"""A merged model is its base with the adapter in it, in the base's own form, or it is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from hubtune.errors import MergeError, ModelError, NoSafetensorsError, RecordError
from tests.end_to_end.worlds import digests
from tests.models.merge_cases import AdapterCase, logits_of, make_adapter, make_base, merge, unmerged

BASES = {
    "gpt2": ("gpt2", {}),
    "llama": ("llama", {"tie_word_embeddings": False}),
    "tied llama": ("llama", {"tie_word_embeddings": True}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "gpt_neox": ("gpt_neox", {"tie_word_embeddings": False}),
}
KINDS = {
    "rslora": AdapterCase({"use_rslora": True}),
    "patterns": AdapterCase(
        {
            "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 8},
            "alpha_pattern": {"v_proj": 3, "1.mlp.up_proj": 5},
        }
    ),
    "some layers": AdapterCase({"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1]}),
    "saved modules": AdapterCase({"target_modules": ["q_proj"], "modules_to_save": ["norm", "lm_head"]}),
    "embeddings": AdapterCase({"target_modules": ["q_proj", "embed_tokens", "lm_head"]}),
    "tokens": AdapterCase({"target_modules": ["q_proj"], "trainable_token_indices": [6, 36, 354]}),
    "named tokens": AdapterCase({"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [6, 36]}}),
    "fp16": AdapterCase(dtype="float16"),
    "bf16": AdapterCase(dtype="bfloat16"),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base of each kind, in two shards or more; for reading only."""
    folder = tmp_path_factory.mktemp("bases")
    return {name: make_base(kind, folder / name, **settings) for name, (kind, settings) in BASES.items()}


@pytest.fixture
def llama(bases: dict[str, Path]) -> Path:
    return bases["llama"]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}


def assert_equals_peft(base: Path, adapter: Path, merged: Path) -> None:
    """Each weight is the one that `merge_and_unload` gives, to the bit."""
    expected = unmerged(base, adapter).merge_and_unload().state_dict()
    found = AutoModelForCausalLM.from_pretrained(merged, dtype="auto").state_dict()
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize("name", BASES)
def test_in_fp32_the_weights_are_those_of_merge_and_unload_to_the_bit(bases, name, tmp_path):
    adapter = make_adapter(bases[name], tmp_path / "adapter")

    done = merge(bases[name], adapter, tmp_path / "out")

    assert_equals_peft(bases[name], adapter, tmp_path / "out")
    assert (done.dtype, done.tied, done.untied) == ("fp32", BASES[name][1].get("tie_word_embeddings", True), False)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_adapter_tensor_is_merged_as_peft_does(llama, kind, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter", KINDS[kind])

    merge(llama, adapter, tmp_path / "out")

    assert_equals_peft(llama, adapter, tmp_path / "out")


@pytest.mark.parametrize("options", [{"lora_bias": True}, {"bias": "all"}, {"bias": "lora_only"}], ids=str)
def test_biases_that_an_adapter_brings_are_merged(bases, options, tmp_path):
    case = AdapterCase({"target_modules": ["c_attn", "c_fc"], **options})
    adapter = make_adapter(bases["gpt2"], tmp_path / "adapter", case)

    merge(bases["gpt2"], adapter, tmp_path / "out")

    assert_equals_peft(bases["gpt2"], adapter, tmp_path / "out")


def test_the_adapter_s_generation_settings_count_before_the_base_s(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter", AdapterCase({"target_modules": ["q_proj"]}))
    (adapter / "generation_config.json").write_text('{"eos_token_id": [0, 2]}')

    merge(llama, adapter, tmp_path / "out")

    assert (tmp_path / "out/generation_config.json").read_text() == '{"eos_token_id": [0, 2]}'


def test_the_model_has_the_base_s_shards_headers_index_and_config_to_the_byte(llama, tmp_path):
    (base := tmp_path / "base").mkdir()
    shutil.copytree(llama, base, dirs_exist_ok=True)
    (base / "generation_config.json").write_text('{ "do_sample":   false}\n')
    (base / "chat_template.jinja").write_text("{{ messages }}\n")
    (base / "tokenizer_config.json").write_text('{"model_max_length": 64 }')
    (base / "pytorch_model.bin").write_bytes(b"pickle")
    adapter = make_adapter(base, tmp_path / "adapter", AdapterCase({"target_modules": ["q_proj"]}))

    done = merge(base, adapter, tmp_path / "out")

    before, after = digests(base), digests(tmp_path / "out")
    assert done.files == after
    assert after.keys() == before.keys() - {"pytorch_model.bin"}
    shards = sorted(path.name for path in base.glob("*.safetensors"))
    assert done.shards == len(shards) >= 2
    assert {name for name in after if after[name] != before[name]} < set(shards)
    for name in shards:
        length = 8 + int.from_bytes((base / name).read_bytes()[:8], "little")
        assert (tmp_path / "out" / name).read_bytes()[:length] == (base / name).read_bytes()[:length]


def test_a_tokenizer_that_the_adapter_brings_wins_over_the_base_s(llama, tmp_path):
    shutil.copytree(llama, base := tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    for folder, text in ((base, '{"whose": "base"}'), (adapter, '{"whose": "adapter"}')):
        (folder / "tokenizer_config.json").write_text(text)

    merge(base, adapter, tmp_path / "out")

    assert (tmp_path / "out/tokenizer_config.json").read_text() == '{"whose": "adapter"}'


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_and_is_rounded_once(dtype, tmp_path):
    base = make_base("llama", tmp_path / "base", dtype=dtype, tie_word_embeddings=False)
    # As in some bases, one tensor is in another format.
    shard = base / json.loads((base / "model.safetensors.index.json").read_text())["weight_map"]["model.norm.weight"]
    weights = load_file(shard)
    save_file({**weights, "model.norm.weight": weights["model.norm.weight"].float()}, shard, metadata={"format": "pt"})
    adapter = make_adapter(base, tmp_path / "adapter", AdapterCase({"target_modules": ["q_proj"]}))

    done = merge(base, adapter, tmp_path / "out")

    before, after = tensors(base), tensors(tmp_path / "out")
    assert {name: value.dtype for name, value in after.items()} == {name: value.dtype for name, value in before.items()}
    assert done.dtype == {"bfloat16": "bf16", "float16": "fp16"}[dtype]
    stored = load_file(adapter / "adapter_model.safetensors")
    layer = "model.layers.0.self_attn.q_proj"
    a, b = (stored[f"base_model.model.{layer}.lora_{factor}.weight"].float() for factor in "AB")
    exact = before[f"{layer}.weight"].float() + (b @ a) * 2.0
    assert torch.equal(after[f"{layer}.weight"], exact.to(getattr(torch, dtype)))
    assert torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])


@pytest.mark.parametrize("strip", [True, False], ids=["without prefix", "with prefix"])
def test_a_checkpoint_may_lack_the_prefix_of_the_model(bases, strip, tmp_path):
    base = make_base("gpt2", tmp_path / "base", shard="1GB")
    if strip:
        stored = {name.removeprefix("transformer."): value for name, value in tensors(base).items()}
        save_file(stored, base / "model.safetensors", metadata={"format": "pt"})
    adapter = make_adapter(base, tmp_path / "adapter")

    merge(base, adapter, tmp_path / "out")

    assert tensors(tmp_path / "out").keys() == tensors(base).keys()
    assert_equals_peft(base, adapter, tmp_path / "out")


TIED = {
    "LoRA on the head": AdapterCase({"target_modules": ["c_attn", "lm_head"]}),
    "LoRA on the embedding": AdapterCase({"target_modules": ["c_attn", "wte"]}),
    "LoRA on both": AdapterCase({"target_modules": ["c_attn", "wte", "lm_head"]}),
    "a saved embedding": AdapterCase({"target_modules": ["c_attn"], "modules_to_save": ["wte"]}),
    "a saved head": AdapterCase({"target_modules": ["c_attn"], "modules_to_save": ["lm_head"]}),
}


@pytest.mark.parametrize("case", TIED)
def test_embeddings_that_the_adapter_treats_differently_are_untied(bases, case, tmp_path):
    """peft's own merge would change the one tensor for both, and with it the model."""
    adapter = make_adapter(bases["gpt2"], tmp_path / "adapter", TIED[case])

    done = merge(bases["gpt2"], adapter, tmp_path / "out")

    assert (done.tied, done.untied) == (False, True)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config.pop("tie_word_embeddings") is False
    before = json.loads((bases["gpt2"] / "config.json").read_text())
    assert config == {key: value for key, value in before.items() if key != "tie_word_embeddings"}
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == tensors(tmp_path / "out").keys()
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in tensors(tmp_path / "out").values())
    expected = logits_of(unmerged(bases["gpt2"], adapter))
    found = logits_of(AutoModelForCausalLM.from_pretrained(tmp_path / "out"))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_untying_works_in_a_single_file_without_prefix(tmp_path):
    base = make_base("gpt2", tmp_path / "base", shard="1GB")
    stored = {name.removeprefix("transformer."): value for name, value in tensors(base).items()}
    save_file(stored, base / "model.safetensors", metadata={"format": "pt"})
    adapter = make_adapter(base, tmp_path / "adapter", TIED["LoRA on the head"])

    merge(base, adapter, tmp_path / "out")

    expected = logits_of(unmerged(base, adapter))
    torch.testing.assert_close(
        logits_of(AutoModelForCausalLM.from_pretrained(tmp_path / "out")), expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["gpt2", "tied llama"])
def test_trained_tokens_of_tied_embeddings_stay_tied(bases, name, tmp_path):
    module = {"gpt2": "c_attn", "tied llama": "q_proj"}[name]
    case = AdapterCase({"target_modules": [module], "trainable_token_indices": [6, 36, 354]})
    adapter = make_adapter(bases[name], tmp_path / "adapter", case)

    done = merge(bases[name], adapter, tmp_path / "out")

    assert (done.tied, done.untied) == (True, False)
    assert_equals_peft(bases[name], adapter, tmp_path / "out")


@pytest.mark.parametrize("name", ["gpt2", "tied llama", "llama"])
def test_tokens_that_the_adapter_adds_are_in_the_merged_model(bases, name, tmp_path):
    module = {"gpt2": "c_attn"}.get(name, "q_proj")
    case = AdapterCase({"target_modules": [module]}, tokens=390)
    adapter = make_adapter(bases[name], tmp_path / "adapter", case)

    done = merge(bases[name], adapter, tmp_path / "out")

    assert (done.vocabulary, done.untied) == (390, False)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.get_input_embeddings().weight.shape == model.get_output_embeddings().weight.shape == (390, 32)
    expected = logits_of(unmerged(bases[name], adapter, tokens=390))
    torch.testing.assert_close(logits_of(model), expected, atol=1e-4, rtol=1e-4)


def test_embeddings_of_which_only_one_was_resized_are_refused(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter", AdapterCase({"target_modules": ["q_proj"]}, tokens=390))
    stored = load_file(adapter / "adapter_model.safetensors")
    del stored["base_model.model.lm_head.weight"]
    save_file(stored, adapter / "adapter_model.safetensors")

    with pytest.raises(MergeError, match=r"lm_head.weight 384, model.embed_tokens.weight 390"):
        merge(llama, adapter, tmp_path / "out")


REFUSED = {
    "DoRA": ({"use_dora": True}, "lora_magnitude_vector|use_dora"),
    "a start that changes the base": ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_adapters_that_are_more_than_lora_are_refused_by_name(llama, case, tmp_path):
    options, named = REFUSED[case]
    adapter = make_adapter(llama, tmp_path / "adapter", AdapterCase(options))

    with pytest.raises(MergeError, match=named):
        merge(llama, adapter, tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"some_new_option": {"a": 1}}, "some_new_option"),
        ({"layer_replication": [[0, 1], [0, 1]]}, "layer_replication"),
        ({"target_parameters": ["mlp.experts"]}, "target_parameters"),
        ({"r": 8}, "rank"),
        ({"lora_alpha": "much"}, "lora_alpha"),
        ({"rank_pattern": {"q_proj(": 2}}, "rank_pattern"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_are_not_understood_are_refused_by_name(llama, changes, named, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    with pytest.raises(MergeError, match=named):
        merge(llama, adapter, tmp_path / "out")


@pytest.mark.parametrize(
    "rename",
    [
        ("lora_A", "lora_magnitude"),
        ("base_model.model.", "diffusion."),
        ("layers.1.", "layers.7."),
        ("lora_B", "modules_to_save"),
    ],
    ids=str,
)
def test_tensors_that_are_not_understood_are_refused_by_name(llama, rename, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter", AdapterCase({"target_modules": ["q_proj"]}))
    stored = load_file(adapter / "adapter_model.safetensors")
    save_file({name.replace(*rename): value for name, value in stored.items()}, adapter / "adapter_model.safetensors")

    with pytest.raises(MergeError, match="q_proj"):
        merge(llama, adapter, tmp_path / "out")


def test_an_adapter_of_another_model_is_refused(bases, tmp_path):
    wider = make_base("llama", tmp_path / "wider", intermediate_size=96, tie_word_embeddings=False)
    adapter = make_adapter(wider, tmp_path / "adapter")

    with pytest.raises(MergeError, match="does not fit") as caught:
        merge(bases["llama"], adapter, tmp_path / "out")
    assert "another base model" in str(caught.value.hint)


def test_a_quantised_base_is_refused(llama, tmp_path):
    shutil.copytree(llama, base := tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": {"load_in_4bit": True}}))

    with pytest.raises(MergeError, match="quantized") as caught:
        merge(base, adapter, tmp_path / "out")
    assert "full-precision" in str(caught.value.hint)


def test_a_base_without_safetensors_is_refused(llama, tmp_path):
    shutil.copytree(llama, base := tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    for path in base.glob("*.safetensors*"):
        path.unlink()
    (base / "pytorch_model.bin").write_bytes(b"pickle")

    with pytest.raises(NoSafetensorsError):
        merge(base, adapter, tmp_path / "out")


@pytest.mark.parametrize("spoil", ["cut", "missing", "outside"])
def test_a_damaged_base_is_refused_and_leaves_nothing(llama, spoil, tmp_path):
    shutil.copytree(llama, base := tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    shard = max(base.glob("*.safetensors"))
    if spoil == "cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif spoil == "missing":
        shard.unlink()
    else:
        index = base / "model.safetensors.index.json"
        shutil.move(shard, tmp_path / shard.name)
        index.write_text(index.read_text().replace(shard.name, f"../{shard.name}"))

    with pytest.raises(ModelError):
        merge(base, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pickled_adapters_are_refused(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")

    with pytest.raises(MergeError, match=r"adapter_model\.safetensors"):
        merge(llama, adapter, tmp_path / "out")


def test_a_merge_that_changes_nothing_is_refused(tmp_path):
    base = make_base("llama", tmp_path / "base", dtype="bfloat16", tie_word_embeddings=False)
    adapter = make_adapter(base, tmp_path / "adapter")
    stored = load_file(adapter / "adapter_model.safetensors")
    # Below what bf16 can tell apart.
    save_file({name: value * 1e-5 for name, value in stored.items()}, adapter / "adapter_model.safetensors")

    with pytest.raises(MergeError, match="would be the base model"):
        merge(base, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_numbers_that_are_not_finite_are_refused(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter", AdapterCase({"target_modules": ["q_proj"]}))
    stored = load_file(adapter / "adapter_model.safetensors")
    next(value for name, value in stored.items() if "1.self_attn.q_proj.lora_B" in name)[0, 0] = float("nan")
    save_file(stored, adapter / "adapter_model.safetensors")

    with pytest.raises(MergeError, match=r"layers\.1\.self_attn\.q_proj\.weight"):
        merge(llama, adapter, tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(llama, tmp_path):
    adapter = make_adapter(llama, tmp_path / "adapter")
    (out := tmp_path / "out").mkdir()
    (out / "notes.txt").write_text("mine")

    with pytest.raises(RecordError, match="not an empty folder"):
        merge(llama, adapter, out)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]

    (out / "notes.txt").unlink()
    merge(llama, adapter, out)
    with safe_open(next(out.glob("*.safetensors")), framework="pt") as shard:
        assert shard.metadata() == {"format": "pt"}
