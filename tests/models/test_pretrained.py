"""Models and tokenizers load from local folders, without network, remote code or pickle."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubtune.errors import ModelError
from hubtune.models.adapters import load_adapter
from hubtune.models.architecture import build_empty
from hubtune.models.classifier import Classes, load_classifier
from hubtune.models.memory import environment
from hubtune.models.pretrained import check_vocabulary, context_length, load_base, load_tokenizer, pad_id
from tests.remote_code import make_lantern
from tests.tiny_models import CONTEXT


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    """A Llama to spoil."""
    return Path(shutil.copytree(llama, tmp_path / "base"))


def _edit(path: Path, **changes: object) -> None:
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_model_loads_in_the_precision_asked_for(tiny_model: Path, precision: str, dtype: torch.dtype):
    assert {weight.dtype for weight in load_base(tiny_model, "org/base", precision).parameters()} == {dtype}


def test_loading_asks_the_hub_for_nothing(tiny_model: Path, served):
    before = len(served.requests())

    load_base(tiny_model, "org/base", "fp32")
    load_tokenizer(tiny_model, "org/base")

    assert len(served.requests()) == before


def test_a_folder_with_pickled_weights_alone_is_refused_and_the_pickle_not_opened(copy: Path, tmp_path: Path):
    (copy / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weight": Evil()}, copy / "pytorch_model.bin")

    with pytest.raises(ModelError, match="org/base cannot be loaded"):
        load_base(copy, "org/base", "fp32")

    assert not (tmp_path / "ran").exists()


def test_a_model_that_needs_code_from_its_repository_is_refused_and_the_code_not_run(tmp_path: Path):
    lantern = make_lantern(tmp_path / "lantern", tmp_path / "ran")

    with pytest.raises(ModelError, match=r"org/base needs Python code .* which is not run unless it is allowed"):
        load_base(lantern, "org/base", "fp32")

    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_that_needs_code_from_its_repository_runs_none(copy: Path, tmp_path: Path):
    (copy / "tokenization_evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    _edit(
        copy / "tokenizer_config.json",
        tokenizer_class="Evil",
        auto_map={"AutoTokenizer": [None, "tokenization_evil.Evil"]},
    )

    with contextlib.suppress(ModelError):
        load_tokenizer(copy, "org/base")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", ["vocab", "merges", "vocab_file", "tokenizer_file"])
def test_no_file_elsewhere_becomes_the_vocabulary_because_a_repository_names_it(tmp_path: Path, key: str):
    secret, folder = tmp_path / "diary.txt", tmp_path / "base"
    secret.write_text("secretword\n[UNK]\n[SEP]\n")
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", key: str(secret)}))

    if key.endswith("_file"):
        # transformers takes its own files for these, whatever the settings say.
        (folder / "vocab.txt").write_text("[UNK]\n[SEP]\nhello\n")
        vocabulary = load_tokenizer(folder, "org/base").get_vocab()
        assert "hello" in vocabulary
        assert "secretword" not in vocabulary
        return
    with pytest.raises(ModelError, match=f"tokenizer_config.json of org/base names a file as its `{key}`"):
        load_tokenizer(folder, "org/base")


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("special_tokens_map.json", "vocab"),
        ("special_tokens_map.json", "tokenizer_file"),
        ("tokenizer_config.json", "init_inputs"),
        ("tokenizer_config.json", "gguf_file"),
    ],
)
def test_no_other_setting_leads_the_tokenizer_to_a_file_elsewhere(tmp_path: Path, file: str, key: str):
    secret, folder = tmp_path / "diary.txt", tmp_path / "base"
    secret.write_text("secretword\n[UNK]\n[SEP]\n")
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    values = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
    values[key] = [str(secret)] if key == "init_inputs" else str(secret)
    (folder / file).write_text(json.dumps(values))

    with pytest.raises(ModelError, match=f"{file} of org/base names a file as its `{key}`"):
        load_tokenizer(folder, "org/base")


def test_paths_in_the_settings_of_a_tokenizer_are_taken_for_nothing(copy: Path, monkeypatch):
    """Old tools left the paths of their own machine in it; some tokenizers, such as Gemma's, open them."""
    import transformers

    named = {"tokenizer_file": "/root/diary.json", "vocab_file": "/root/diary.txt", "special_tokens_map_file": None}
    _edit(copy / "tokenizer_config.json", **named)
    load, seen = transformers.AutoTokenizer.from_pretrained, {}
    monkeypatch.setattr(
        transformers.AutoTokenizer,
        "from_pretrained",
        lambda *folder, **options: seen.update(options) or load(*folder, **options),
    )

    tokenizer = load_tokenizer(copy, "org/base")

    assert {key: seen[key] for key in ("tokenizer_file", "vocab_file")} == {"tokenizer_file": None, "vocab_file": None}
    assert "diary" not in str(tokenizer.init_kwargs)


def test_no_model_elsewhere_is_loaded_because_an_adapter_in_its_place_names_it(copy: Path, gpt2: Path):
    (copy / "config.json").unlink()
    (copy / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(gpt2)}))

    with pytest.raises(ModelError, match=r"it has no config\.json"):
        load_base(copy, "org/base", "fp32")


def test_an_adapter_beside_a_model_is_not_put_on_it_without_a_word(copy: Path, gpt2: Path):
    (copy / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(gpt2)}))

    uses = (
        lambda: load_base(copy, "org/base", "fp32"),
        lambda: load_classifier(copy, "org/base", "fp32", Classes(("a", "b"), False, 0)),
    )
    for use in uses:
        with pytest.raises(ModelError, match=r"org/base holds an adapter beside its config\.json") as caught:
            use()
        assert "base.adapter" in str(caught.value.hint)


@pytest.mark.parametrize(
    "edit",
    [
        {"attn_implementation": "evil/kernel"},
        {"_attn_implementation": "evil/kernel:attention"},
        {"_attn_implementation_internal": {"": "evil/kernel@main"}},
        {"experts_implementation": "evil/kernel"},
        {"text_config": {"attn_implementation": "evil/kernel"}},
        {"parts": [{"attn_implementation": "evil/kernel"}]},
        {"use_kernels": True},
    ],
)
def test_no_kernel_of_a_repository_is_used_because_a_config_names_it(copy: Path, edit: dict[str, object]):
    _edit(copy / "config.json", **edit)

    uses = (
        lambda: load_base(copy, "org/base", "fp32"),
        lambda: build_empty(copy, "org/base"),
        lambda: context_length(copy, "org/base"),
    )
    for use in uses:
        with pytest.raises(ModelError, match=r"config\.json of org/base is .* code of another repository"):
            use()


def test_a_count_that_no_model_has_is_refused_wherever_a_config_is_loaded(copy: Path):
    _edit(copy / "config.json", num_labels=300_000_000)

    uses = (
        lambda: load_base(copy, "org/base", "fp32"),
        lambda: build_empty(copy, "org/base"),
        lambda: context_length(copy, "org/base"),
        lambda: load_tokenizer(copy, "org/base"),
    )
    for use in uses:
        with pytest.raises(ModelError, match=r"`num_labels` in config\.json of org/base"):
            use()


def test_a_usual_kind_of_attention_may_be_named(copy: Path):
    _edit(copy / "config.json", attn_implementation="eager", _attn_implementation="sdpa")

    assert load_base(copy, "org/base", "fp32").device.type in ("cpu", "cuda")


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="org/base"):
        load_base(tmp_path, "org/base", "fp32")
    with pytest.raises(ModelError, match="tokenizer of org/base"):
        load_tokenizer(tmp_path, "org/base")


def test_a_model_that_is_not_a_causal_one_is_refused(tmp_path: Path):
    from transformers import T5Config, T5EncoderModel

    T5EncoderModel(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(
        tmp_path
    )

    with pytest.raises(ModelError, match="causal language model"):
        load_base(tmp_path, "org/t5", "fp32")


def test_damaged_weights_are_refused(copy: Path):
    (copy / "model.safetensors").write_bytes(b"damaged")

    with pytest.raises(ModelError, match="org/base"):
        load_base(copy, "org/base", "fp32")


def test_weights_that_lack_some_of_the_model_s_tensors_are_refused(copy: Path):
    """Else the missing ones would be random, and the base's measures with them."""
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match="org/base"):
        load_base(copy, "org/base", "fp32")


def test_weights_of_another_shape_than_the_config_s_are_refused_with_the_tensor(copy: Path):
    _edit(copy / "config.json", head_dim=64)

    with pytest.raises(ModelError, match=r"layers\.0\.self_attn\.\w+\.weight has the shape \[\d+, 32\], and \["):
        load_base(copy, "org/base", "fp32")


def test_a_head_for_other_classes_is_refused_with_the_tensor(copy: Path):
    weights = load_file(copy / "model.safetensors")
    save_file({**weights, "score.weight": torch.zeros(5, 32)}, copy / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match=r"score\.weight has the shape \[5, 32\], and \[3, 32\] is needed"):
        load_classifier(copy, "org/base", "fp32", Classes(("a", "b", "c"), several=False, pad_id=0))


def test_a_tokenizer_without_eos_is_refused_with_the_reason(copy: Path):
    _edit(copy / "tokenizer_config.json", eos_token=None)

    with pytest.raises(ModelError, match="no EOS token"):
        load_tokenizer(copy, "org/base")


def test_padding_is_the_tokenizer_s_own_and_eos_where_it_has_none(gpt2: Path, llama: Path):
    without, having = load_tokenizer(gpt2, "org/base"), load_tokenizer(llama, "org/base")

    assert without.pad_token_id is None
    assert pad_id(without) == without.eos_token_id
    assert pad_id(having) == having.pad_token_id != having.eos_token_id


def test_a_padding_token_with_the_id_zero_is_one(copy: Path):
    _edit(copy / "tokenizer_config.json", pad_token="<unk>")

    assert pad_id(load_tokenizer(copy, "org/base")) == 0


def test_a_folder_without_adapter_is_refused(tiny_model: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="adapter"):
        load_adapter(load_base(tiny_model, "org/base", "fp32"), tmp_path, "org/adapter")


def test_an_adapter_of_another_model_is_refused(gpt2: Path, llama: Path, tmp_path: Path):
    from hubtune.config.training import LoraConfig
    from hubtune.train.methods.lora import add_lora
    from hubtune.train.methods.method import save_adapter
    from tests.sample_runs import sample_pins

    save_adapter(add_lora(load_base(llama, "org/base", "fp32"), LoraConfig(), sample_pins().base), tmp_path / "adapter")

    with pytest.raises(ModelError, match="adapter"):
        load_adapter(load_base(gpt2, "org/base", "fp32"), tmp_path / "adapter", "org/adapter")


def test_the_environment_names_versions_and_device():
    found = environment()

    assert (
        found.packages["torch"] == torch.__version__.partition("+")[0] or found.packages["torch"] == torch.__version__
    )
    assert set(found.packages) >= {"transformers", "peft", "tokenizers", "safetensors", "datasets"}
    assert found.device


def test_the_context_is_the_one_that_the_config_states(tiny_model: Path):
    assert context_length(tiny_model, "org/base") == CONTEXT


def test_the_context_of_a_model_that_needs_code_is_read_without_running_it(tmp_path: Path):
    lantern = make_lantern(tmp_path / "lantern", tmp_path / "ran")

    assert context_length(lantern, "org/base") == CONTEXT

    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tiny_model: Path):
    model, tokenizer = load_base(tiny_model, "org/base", "fp32"), load_tokenizer(tiny_model, "org/base")
    check_vocabulary(model, tokenizer, "org/base")

    tokenizer.add_tokens(["<new>"])

    with pytest.raises(ModelError, match=r"org/base has 385 tokens, .* embeddings for 384"):
        check_vocabulary(model, tokenizer, "org/base")


@pytest.mark.parametrize(
    ("spoil", "said", "hint"),
    [
        (
            lambda folder: _cut(folder / "model.safetensors"),
            "model.safetensors is damaged or cut short",
            "HF_HUB_CACHE",
        ),
        (
            lambda folder: (folder / "model.safetensors").unlink(),
            "model.safetensors, which holds weights, is missing",
            "HF_HUB",
        ),
        (
            lambda folder: _edit(folder / "config.json", model_type="never-heard-of"),
            "never-heard-of",
            "is part of transformers",
        ),
        (
            lambda folder: _edit(folder / "config.json", hidden_size=64),
            " has the shape [",
            "do not belong together",
        ),
        (
            lambda folder: _edit(folder / "config.json", hidden_act="never"),
            "never",
            "config.json, or what it says of the weights",
        ),
    ],
    ids=["cut", "missing", "architecture", "shapes", "config"],
)
def test_damage_an_unknown_architecture_and_a_faulty_config_are_told_apart(copy: Path, spoil, said: str, hint: str):
    spoil(copy)

    with pytest.raises(ModelError, match="org/base") as caught:
        load_base(copy, "org/base", "fp32")

    assert said in caught.value.message
    assert str(copy) not in caught.value.message
    assert hint in str(caught.value.hint)
    assert ("architecture is part of" in str(caught.value.hint)) == (said == "never-heard-of")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])
