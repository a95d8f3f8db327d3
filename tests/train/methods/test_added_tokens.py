"""Tokens that a run adds are learned, published with their tokenizer, and load by the ecosystem's own classes."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from hubtune.config.load import parse_config
from hubtune.errors import ConfigError, ModelError, TrainingError
from hubtune.evaluate.evaluation import EvaluationJob, evaluate
from hubtune.evaluate.measurement import MeasuredRows
from hubtune.models.added_tokens import add_tokens
from hubtune.models.fidelity import AdaptedBase, measure_fidelity, require_faithful
from hubtune.models.pretrained import PinnedBase, load_tokenizer
from hubtune.models.release_model import load_release, replay
from hubtune.train.methods.lora import continue_lora
from hubtune.train.methods.method import make_trainable
from hubtune.train.setup import TrainJob
from hubtune.train.training import train
from tests.encoding import encode
from tests.listener import Listener
from tests.models.merge_cases import merge
from tests.sample_runs import sample_config, sample_pins
from tests.tiny_models import VOCABULARY

TOKENS = ["<|quote|>", "<|by|>"]
TEXTS = [f"<|quote|>The {kind} keeps.<|by|>a {kind}" for kind in ("baker", "hive", "light", "clock")] * 2
GIVEN = "train.added_tokens=" + json.dumps(TOKENS)


def _tokenizer(base: Path):
    tokenizer = load_tokenizer(base, "org/base")
    add_tokens(tokenizer, TOKENS, "org/base")
    return tokenizer


def _fit(new_run, base: Path, method: str, *overrides: str):
    artifact = ["publish.artifact=merged"] if method == "full" else []
    run = new_run("train.epochs=15", "train.learning_rate=0.02", GIVEN, f"train.method={method}", *artifact, *overrides)
    tokenizer = _tokenizer(base)
    rows = encode(TEXTS, tokenizer, 64)
    record = train(TrainJob(run, PinnedBase(sample_pins().base, base, tokenizer), rows, Listener()))
    run.write(record)
    return run, record, tokenizer, rows


def _consumed(base: Path, folder: Path, *, whole: bool):
    """Loads a release as its card's program does."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if whole:
        return AutoModelForCausalLM.from_pretrained(folder), tokenizer
    bare = AutoModelForCausalLM.from_pretrained(base)
    bare.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return PeftModel.from_pretrained(bare, folder), tokenizer


@pytest.mark.parametrize(
    ("model", "method"),
    [
        *[("gpt2", "lora"), ("llama", "full")],
        *[
            pytest.param(*case, marks=pytest.mark.full_trial)
            for case in (("llama", "qlora"), ("gpt2", "full"), ("llama", "lora"), ("chat", "lora"), ("neox", "full"))
        ],
    ],
)
def test_they_are_learnt_and_load_with_the_logits_of_the_probe(tiny, new_run, model: str, method: str):
    base = tiny(model)
    run, record, tokenizer, rows = _fit(new_run, base, method)

    pinned = PinnedBase(sample_pins().base, base, tokenizer)
    found = evaluate(EvaluationJob(run, pinned, record, MeasuredRows(rows, rows), Listener()))

    assert record.added_tokens == TOKENS
    assert record.vocabulary == VOCABULARY + 2
    assert record.final_loss < record.first_loss / 2
    loaded, published = _consumed(base, run.trained_dir(record), whole=record.whole)
    assert replay(loaded, found.probe.prompts).difference < 1e-3
    assert published.convert_tokens_to_ids(TOKENS) == [VOCABULARY, VOCABULARY + 1]
    assert [published(text)["input_ids"] for text in TEXTS] == [tokenizer(text)["input_ids"] for text in TEXTS]
    # The rows were learned, each its own way, and the new token is what comes next where it always stands.
    weights = loaded.get_input_embeddings().weight
    assert not torch.equal(weights[VOCABULARY], weights[VOCABULARY + 1])
    with torch.no_grad():
        assert int(loaded(torch.tensor([rows[0].input_ids[:-4]])).logits[0].argmax(-1).eq(VOCABULARY + 1).sum()) > 0


@pytest.mark.parametrize(
    ("model", "whole"),
    [
        ("gpt2", "wte, lm_head"),
        ("llama", "embed_tokens"),
        pytest.param("llama", "embed_tokens, lm_head", marks=pytest.mark.full_trial),
        pytest.param("llama", "lm_head", marks=pytest.mark.full_trial),
    ],
)
def test_modules_held_whole_beside_them_load_with_the_logits_of_the_training(tiny, new_run, model: str, whole: str):
    """By peft and transformers alone, and as `generate` and `verify` load them: no row is made anew at a load."""
    base = tiny(model)
    modules = f"train.lora.modules_to_save=[{whole}]"
    run, record, tokenizer, rows = _fit(new_run, base, "lora", "train.epochs=2", modules)

    pinned = PinnedBase(sample_pins().base, base, tokenizer)
    found = evaluate(EvaluationJob(run, pinned, record, MeasuredRows(rows, rows), Listener()))

    for _ in range(2):
        loaded, _ = _consumed(base, run.adapter_dir, whole=False)
        assert replay(loaded, found.probe.prompts).difference < 1e-3
        ours, _ = load_release(run.adapter_dir, base, "fp32", "org/tuned")
        with torch.no_grad():
            ids = torch.tensor([rows[0].input_ids])
            assert torch.allclose(ours(ids).logits, loaded(ids).logits, atol=1e-5)


@pytest.mark.parametrize("whole", ["wte", "lm_head"])
def test_one_of_two_that_are_tied_is_refused_before_the_training(new_run, gpt2: Path, whole: str):
    """The other would keep the base's weights, and its rows for the new tokens would be in no file."""
    with pytest.raises(ModelError, match=r"The head of org/base is its embedding") as refused:
        _fit(new_run, gpt2, "lora", f"train.lora.modules_to_save=[{whole}]")

    assert "`modules_to_save: [wte, lm_head]`" in str(refused.value.hint)


@pytest.mark.parametrize("model", ["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def test_an_adapter_is_merged_into_a_larger_model(tiny, new_run, tmp_path, model: str):
    base = tiny(model)
    run, _, tokenizer, rows = _fit(new_run, base, "lora", "train.epochs=3")

    merged = merge(base, run.adapter_dir, tmp_path / "merged")

    assert merged.vocabulary == VOCABULARY + 2
    assert json.loads((tmp_path / "merged/config.json").read_text())["vocab_size"] == VOCABULARY + 2
    prompts = [row.input_ids for row in rows[:2]]
    require_faithful(
        measure_fidelity(
            AdaptedBase(base, run.adapter_dir, merged.vocabulary), tmp_path / "merged", prompts, "fp32", Listener()
        )
    )
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == len(tokenizer)
    adapted, _ = load_release(run.adapter_dir, base, "fp32", "org/tuned")
    whole, _ = load_release(tmp_path / "merged", None, "fp32", "org/tuned")
    with torch.no_grad():
        ids = torch.tensor([prompts[0]])
        assert torch.allclose(adapted(ids).logits, whole(ids).logits, atol=1e-4)


def test_rows_that_a_base_has_to_spare_are_taken_and_the_others_of_the_base_stay(new_run, llama: Path, tmp_path):
    roomy = AutoModelForCausalLM.from_pretrained(llama)
    roomy.resize_token_embeddings(VOCABULARY + 8, mean_resizing=False)
    roomy.save_pretrained(tmp_path / "roomy")
    load_tokenizer(llama, "org/base").save_pretrained(tmp_path / "roomy")

    run, record, _, _ = _fit(new_run, tmp_path / "roomy", "full", "train.epochs=3")
    adapter, other, tokenizer, _ = _fit(new_run, tmp_path / "roomy", "lora", "train.epochs=3")

    assert (record.vocabulary, other.vocabulary) == (None, None)
    assert load_file(run.model_dir / "model.safetensors")["lm_head.weight"].shape[0] == VOCABULARY + 8
    bare = AutoModelForCausalLM.from_pretrained(tmp_path / "roomy")
    PeftModel.from_pretrained(bare, adapter.adapter_dir)
    stated = json.loads((adapter.adapter_dir / "adapter_config.json").read_text())["trainable_token_indices"]
    assert set(stated) == {"model.embed_tokens", "lm_head"}
    assert stated["lm_head"] == tokenizer.convert_tokens_to_ids(TOKENS)


def test_what_is_trained_of_the_embedding_is_held_in_fp32_beside_a_base_in_bf16(new_run, llama: Path):
    settings = new_run(GIVEN).config().train

    subject = make_trainable(settings, PinnedBase(sample_pins().base, llama, _tokenizer(llama)), "bf16")

    trained = {name: weight for name, weight in subject.model.named_parameters() if weight.requires_grad}
    assert {weight.dtype for weight in trained.values()} == {torch.float32}
    rows = [weight for name, weight in trained.items() if "token_adapter" in name]
    assert [tuple(weight.shape) for weight in rows] == [(2, 32), (2, 32)]
    assert subject.model(input_ids=torch.tensor([[5, VOCABULARY]])).logits.dtype == torch.bfloat16


def test_a_token_that_the_base_has_is_refused(llama: Path):
    with pytest.raises(ModelError, match="has the token '</s>' already"):
        add_tokens(load_tokenizer(llama, "org/base"), ["<|new|>", "</s>"], "org/base")


def test_an_adapter_with_tokens_is_not_trained_further(new_run, llama: Path):
    run, _, _, _ = _fit(new_run, llama, "lora", "train.epochs=1")

    with pytest.raises(TrainingError, match="brings tokens of its own"):
        continue_lora(None, sample_config().train.lora, sample_pins().base, run.adapter_dir, "org/earlier")


@pytest.mark.parametrize(
    ("train_section", "named"),
    [
        ("{added_tokens: ['']}", "is empty"),
        ("{added_tokens: ['a ']}", "white space at its ends"),
        ("{added_tokens: [x1, x1]}", "is listed twice"),
        ("{added_tokens: [x1], method: freeze}", "the method 'freeze' leaves those frozen"),
    ],
)
def test_tokens_that_make_no_sense_are_refused_by_the_config(train_section: str, named: str):
    with pytest.raises(ConfigError) as refused:
        parse_config(f"base: {{repo: a/b}}\ndata: [{{repo: a/c}}]\ntrain: {train_section}")

    assert named in " ".join(refused.value.details)
