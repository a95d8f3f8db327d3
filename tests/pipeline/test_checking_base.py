"""`hubtune check` reads the base's config at its commit and says whether it can be trained, before any weights come."""

import json
import re
from pathlib import Path

import pytest
import torch

from hubtune.config.load import load_config
from hubtune.errors import MemoryNeededError
from hubtune.pipeline.check import Checks, check_run

CONFIG = "base: {repo: org/base}\ndata: [{repo: org/data, text: a}]\n"
LLAMA = {"model_type": "llama"}
SHARDS = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}


@pytest.fixture
def check(tmp_path: Path, served, listener):
    def made(files: dict[str, object], more: str = "") -> Checks:
        content = {name: json.dumps(value).encode() for name, value in files.items()}
        served.commit("org/base", {"model-00001-of-00002.safetensors": b"weights", **content})
        served.commit("org/data", {"train.csv": b"a\n1\n"}, "dataset")
        file = tmp_path / "hubtune.yaml"
        file.write_text(CONFIG + more)
        return check_run(load_config(file), file, listener, publish=False, run_folder=tmp_path)

    return made


def _said(checks: Checks, check: str) -> tuple[str, str]:
    (found,) = [finding for finding in checks.findings if finding.check == check]
    return found.status, found.detail


def test_a_base_that_can_be_trained_passes(check):
    assert _said(check({"config.json": LLAMA}), "model") == ("ok", "the method 'lora' can train it")


def test_a_base_that_lacks_a_shard_is_refused(check):
    status, detail = _said(check({"config.json": LLAMA, "model.safetensors.index.json": SHARDS}), "model")

    assert status == "error"
    assert "model-00002-of-00002.safetensors" in detail


def test_an_encoder_decoder_base_is_refused(check):
    status, detail = _said(check({"config.json": {"model_type": "t5", "is_encoder_decoder": True}}), "model")

    assert (status, "encoder-decoder" in detail) == ("error", True)


def test_an_adapter_in_the_place_of_a_base_is_refused_with_where_to_name_it(check):
    status, detail = _said(check({"adapter_config.json": {}}), "base org/base")

    assert (status, "is an adapter itself" in detail, "`base.adapter.repo`" in detail) == ("error", True, True)


@pytest.mark.parametrize(
    ("token", "found"),
    [("hive", "error"), ("</s>", "error"), ("<|new|>", "ok")],
    ids=["a word", "a special one", "new"],
)
def test_a_token_to_add_that_the_base_has_is_refused(check, token: str, found: str):
    tokenizer = {"model": {"vocab": {"hive": 0}}, "added_tokens": [{"id": 1, "content": "</s>"}]}

    status, detail = _said(
        check({"config.json": LLAMA, "tokenizer.json": tokenizer}, f"train: {{added_tokens: ['{token}']}}\n"), "model"
    )

    assert (status, f"has the token '{token}' already" in detail) == (found, found == "error")


@pytest.mark.parametrize(
    ("base", "more", "found"),
    [
        ("phi", "", "error"),
        ("phi", "train: {method: qlora, added_tokens: [x1]}", "error"),
        ("phi", "train: {method: full, added_tokens: [x1]}", "ok"),
        ("phi", "train: {method: lora}", "ok"),
        ("llama", "", "ok"),
    ],
)
def test_tokens_beside_a_head_with_a_bias_are_refused_for_an_adapter(check, base: str, more: str, found: str):
    facts = {"model_type": base, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}

    status, detail = _said(check({"config.json": facts}, f"{more or 'train: {added_tokens: [x1]}'}\n"), "model")

    assert (status, "The head of org/base has a bias" in detail) == (found, found == "error")


SIZES = {**LLAMA, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 256}


def test_the_memory_of_a_small_model_is_told_and_fits(check):
    status, detail = _said(check({"config.json": SIZES}), "memory")

    assert status == "ok"
    assert detail.startswith("about ")
    assert "for 8 rows of 512 tokens at once; " in detail


def test_a_head_to_train_whole_is_in_the_memory_and_what_cannot_be_counted_is_named(check):
    more = "train: {lora: {modules_to_save: [%s]}}\n"
    files = {"config.json": {**SIZES, "vocab_size": 2**16}}
    found = [_said(check(files, more % names), "memory")[1] for names in ("", "lm_head", "lm_head, odd")]

    optimizer = [float(re.search(r"optimizer ([\d.]+) MB", said).group(1)) for said in found]
    # Two numbers of 4 bytes for each of 2^16 x 64 weights.
    assert optimizer[1] - optimizer[0] == pytest.approx(33.6, abs=0.11)
    assert optimizer[2] == optimizer[1]
    assert ["; without odd, of a size that the config does not tell)" in said for said in found] == [False, False, True]


def test_bf16_is_refused_before_the_training_where_the_machine_lacks_it(check, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})

    status, detail = _said(check({"config.json": LLAMA}, "train: {precision: bf16}\n"), "precision")

    assert (status, detail.startswith("This machine does not compute in bf16.")) == ("error", True)
    assert "auto or fp32" in detail


def test_a_model_that_cannot_fit_is_refused_before_it_is_fetched_with_what_to_do(check):
    huge = {**SIZES, "hidden_size": 65_536, "num_hidden_layers": 500, "intermediate_size": 262_144}

    checks = check({"config.json": huge}, "train: {method: full}\n")

    status, detail = _said(checks, "memory")
    assert (status, "`train.method: lora`" in detail) == ("error", True)
    assert any(isinstance(failure, MemoryNeededError) for failure in checks.failures)
