"""`hubtune check` reads the base's config at its commit and says whether it can be trained, before any weights come."""

import contextlib
import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubtune.config.load import load_config
from hubtune.config.training import TrainConfig
from hubtune.errors import HubtuneError, MemoryNeededError, ModelError
from hubtune.models.architecture import build_empty, shape_of
from hubtune.models.base_facts import check_facts, check_sizes, read_facts
from hubtune.pipeline.check import Checks, check_run
from hubtune.pipeline.context import RunOptions

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
        return check_run(load_config(file), file, RunOptions(run_dir=tmp_path), listener)

    return made


@pytest.fixture
def check_folder(tmp_path: Path, served, listener):
    """Checks a base whose files are those of a folder, edited."""

    def made(folder: Path, more: str = "", **edited: object) -> Checks:
        content = {path.name: path.read_bytes() for path in folder.iterdir()}
        facts = {
            **json.loads(content["config.json"]),
            **{key: value for key, value in edited.items() if key != "files"},
        }
        content["config.json"] = json.dumps(facts).encode()
        content |= edited.get("files", {})
        served.commit("org/base", {name: data for name, data in content.items() if data is not None})
        served.commit("org/data", {"train.csv": b"a\n1\n"}, "dataset")
        file = tmp_path / "hubtune.yaml"
        file.write_text(
            CONFIG.replace("base: {repo: org/base}\n", "") + more if more.startswith("base:") else CONFIG + more
        )
        return check_run(load_config(file), file, RunOptions(run_dir=tmp_path), listener)

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


def test_an_adapter_beside_a_base_is_refused_and_what_it_names_not_asked_for(check, served):
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "org/other"}

    status, detail = _said(check({"config.json": LLAMA, "adapter_config.json": adapter}), "model")

    assert (status, "org/base at " in detail) == ("error", True)
    assert "holds an adapter beside its config.json" in detail
    assert "org/other" not in str(served.requests())


def test_kernels_of_another_repository_are_refused(check, served):
    status, detail = _said(check({"config.json": {**LLAMA, "attn_implementation": "evil/kernel"}}), "model")

    assert (status, "which is code of another repository" in detail) == ("error", True)
    assert "evil/kernel" not in str(served.requests())


def test_an_adapter_in_the_place_of_a_base_is_refused_with_where_to_name_it(check):
    status, detail = _said(check({"adapter_config.json": {}}), "base org/base")

    assert (status, "is an adapter, not a base model" in detail, "`base.adapter.repo`" in detail) == (
        "error",
        True,
        True,
    )


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


def _header(**shapes: list[int]) -> bytes:
    entries = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def test_a_base_that_loads_is_said_to_fit(check_folder, tiny_model: Path):
    checks = check_folder(tiny_model)

    assert _said(checks, "loading") == (
        "ok",
        "its tokenizer loads, and a model can be built by its config, which its weights fit",
    )
    assert checks.exit_code == 0


@pytest.mark.parametrize(
    ("edited", "said"),
    [
        ({"pad_token_id": 999_999}, "`pad_token_id` in config.json of org/base is 999,999, and the vocabulary has 384"),
        ({"eos_token_id": 384}, "`eos_token_id` in config.json of org/base is 384, and the vocabulary has 384"),
        (
            {"eos_token_id": [1, 999_999]},
            "`eos_token_id` in config.json of org/base is [1, 999999], and the",
        ),
        ({"bos_token_id": 50_256}, "`bos_token_id` in config.json of org/base is 50,256, and the vocabulary has 384"),
        ({"eos_token_id": -2}, "`eos_token_id` in config.json of org/base is -2, and the vocabulary has 384"),
        ({"hidden_size": "many"}, "`hidden_size` in config.json of org/base is 'many'"),
        ({"hidden_size": -32}, "which is not above 0"),
        ({"num_hidden_layers": 10**9}, "beyond what any model has"),
        ({"num_hidden_layers": 2.5}, "which is not a whole number"),
        ({"vocab_size": 0}, "which is not above 0"),
        ({"num_attention_heads": 0}, "which is not above 0"),
        ({"rope_theta": float("nan")}, "which is not a number"),
        ({"hidden_size": 33}, "org/base"),
        ({"hidden_size": 64}, "has the shape"),
        ({"vocab_size": 100}, "has 384 tokens, and the model has embeddings for 100"),
        ({"vocab_size": 500}, "weight has the shape [384, 32], and [500, 32] is needed"),
        ({"model_type": "never-heard-of"}, "never-heard-of"),
        ({"model_type": None}, "model type"),
        ({"architectures": "no list", "hidden_act": "never-heard-of"}, "never-heard-of"),
        ({"model_type": "bert"}, "is an encoder (bert): it cannot generate text"),
        (
            {"files": {"tokenizer.json": None, "tokenizer_config.json": None}},
            "The tokenizer of org/base cannot be loaded",
        ),
        ({"files": {"tokenizer.json": b"{}"}}, "The tokenizer of org/base cannot be loaded"),
        ({"files": {"config.json": b"[]"}}, "does not hold a JSON object"),
        ({"files": {"config.json": b"<html>"}}, "is not JSON"),
        ({"files": {"config.json": b'{"hidden_size": ' + b"1" * 5000 + b"}"}}, "digits"),
        ({"files": {"config.json": b"[" * 9999}}, "deep"),
        ({"files": {"model.safetensors": b""}}, "is not a safetensors file, or is damaged"),
        ({"files": {"model.safetensors": b"\xff" * 999}}, "is not a safetensors file, or is damaged"),
        ({"files": {"model.safetensors": b"\x40" + bytes(7) + b"{" * 64}}, "is not JSON"),
        (
            {"files": {"model.safetensors": _header(**{"lm_head.weight": [9, 9]})}},
            "lm_head.weight has the shape [9, 9]",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_base_that_run_could_not_load_is_refused_with_the_reason(check_folder, llama: Path, edited, said: str):
    checks = check_folder(llama, **edited)

    errors = [finding.detail for finding in checks.findings if finding.status == "error"]
    assert said in " ".join(errors)
    assert all("org/base" in detail and "/tmp" not in detail and "/dev/shm" not in detail for detail in errors)
    assert checks.exit_code in (8, 30)


@pytest.mark.parametrize(
    "ids",
    [
        {"eos_token_id": -1, "bos_token_id": -1, "pad_token_id": -1},
        {"eos_token_id": None, "bos_token_id": None, "pad_token_id": None},
        {"eos_token_id": [0, 383], "bos_token_id": 383, "pad_token_id": 383},
    ],
)
def test_usual_ids_of_special_tokens_pass(check_folder, llama: Path, ids: dict[str, object]):
    assert _said(check_folder(llama, **ids), "model")[0] == "ok"


@pytest.mark.parametrize(
    ("stated", "refused"),
    [
        ({"text_config": {"vocab_size": 9}, "eos_token_id": 9}, True),
        ({"text_config": {"vocab_size": 9, "eos_token_id": 9}}, True),
        ({"text_config": {"vocab_size": 10}, "eos_token_id": 9}, False),
        ({"vision_config": {"eos_token_id": 99}, "vocab_size": 9}, False),
        ({"eos_token_id": 9}, False),
    ],
)
def test_ids_are_held_against_the_vocabulary_of_the_text(stated: dict[str, object], refused: bool):
    with pytest.raises(ModelError) if refused else contextlib.nullcontext():
        check_sizes(stated, "org/base")


@pytest.mark.parametrize(
    ("template", "exit_code", "said"),
    [
        (None, 2, "is of format 'chat', and the base model's tokenizer has no chat template"),
        (b"{% for m in messages %}", 30, "chat template of the base model's tokenizer cannot be used: line 1"),
        (b"{{ 'x' * 3000000000 }}", 30, "tokenizer cannot be used: it takes more than 512 MiB of memory"),
        (b"{{ raise_exception('not these words') }}", 0, ""),
    ],
)
def test_a_chat_template_that_cannot_write_the_data_is_refused(
    check_folder, chat: Path, monkeypatch, template: bytes | None, exit_code: int, said: str
):
    monkeypatch.setitem(globals(), "CONFIG", CONFIG.replace("text: a", "format: chat"))
    checks = check_folder(chat, files={"chat_template.jinja": template})

    errors = [finding.detail for finding in checks.findings if finding.status == "error"]
    assert said in " ".join(errors)
    assert checks.exit_code == exit_code


def test_an_embedding_held_whole_beside_new_tokens_is_refused_where_the_head_is_tied_to_it(check_folder, gpt2: Path):
    """The head's new rows would be in no file."""
    more = "train: {added_tokens: [x1], lora: {modules_to_save: [%s]}}\n"

    status, detail = _said(check_folder(gpt2, more % "wte"), "loading")

    assert (status, "lm_head" in detail) == ("error", True)
    assert _said(check_folder(gpt2, more % "wte, lm_head"), "loading")[0] == "ok"


@pytest.mark.parametrize("place", ["cache", "run", "lock"])
def test_a_folder_that_cannot_be_written_is_named_before_anything_starts(
    tmp_path: Path, served, listener, monkeypatch, llama: Path, place: str
):
    served.commit_folder("org/base", llama)
    served.commit("org/data", {"train.csv": b"a\n1\n"}, "dataset")
    (tmp_path / "file").write_text("in the way")
    run, config = tmp_path / "runs", tmp_path / "hubtune.yaml"
    config.write_text(CONFIG)
    if place == "cache":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    if place == "run":
        run = tmp_path / "file" / "runs"
    settings = load_config(config)
    if place == "lock":
        config = Path("/proc/hubtune.yaml")

    checks = check_run(settings, config, RunOptions(run_dir=run), listener)

    (error,) = [finding for finding in checks.findings if finding.status == "error"]
    assert error.check == "folders"
    assert {"cache": "HF_HOME", "run": "--run-dir", "lock": "beside the config"}[place] in error.detail
    assert checks.exit_code == 7


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"r": 8}, "has r 8, and train.lora.r is 16"),
        ({"base_model_name_or_path": "org/other"}, "was trained on org/other"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"peft_type": "IA3"}, "is of the type 'IA3'"),
        ({}, ""),
    ],
    ids=["rank", "base", "no base", "type", "fits"],
)
def test_an_adapter_that_cannot_be_trained_further_is_refused_before_anything_is_fetched(
    check_folder, served, gpt2: Path, stated, said: str
):
    stated_settings = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "target_modules": ["c_attn"]}
    stated_settings |= {"r": 16, "lora_alpha": 32, **stated}
    served.commit(
        "org/first",
        {"adapter_config.json": json.dumps(stated_settings).encode(), "adapter_model.safetensors": b"weights"},
    )

    checks = check_folder(gpt2, "base: {repo: org/base, adapter: {repo: org/first}}\n")

    status, detail = _said(checks, "adapter")
    assert (status, said in detail) == ("error" if said else "ok", True)
    assert ("org/first@" in detail) == bool(said)


ODD = st.sampled_from([None, True, -1, 0, 7, 10**9, 10**30, 1e308, float("nan"), "word", "", [], [1], {}, {"a": 1}])


def test_configs_of_any_values_are_built_or_refused_with_the_name(tmp_path: Path, llama: Path, gpt2: Path, trials):
    """Whatever stands in a config.json: an empty model, or hubtune's own error, and none takes long."""
    stated = [json.loads((folder / "config.json").read_text()) for folder in (llama, gpt2)]
    keys = sorted({*stated[0], *stated[1], "auto_map", "text_config", "quantization_config", "num_local_experts"})

    @settings(max_examples=trials(60, 2000), suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(stated), st.dictionaries(st.sampled_from(keys), ODD, max_size=3), st.booleans())
    def attempt(facts: dict[str, object], changed: dict[str, object], classifies: bool) -> None:
        content = json.dumps({**facts, **changed}).encode()
        (tmp_path / "config.json").write_bytes(content)
        faults = []
        for work in (
            lambda: build_empty(tmp_path, "org/base", classifies=classifies),
            lambda: check_facts(read_facts(content, "org/base"), TrainConfig(), "org/base"),
            lambda: shape_of(read_facts(content, "org/base")),
        ):
            try:
                work()
            except HubtuneError as error:
                faults.append(error.message)
        assert all("org/base" in fault and str(tmp_path) not in fault for fault in faults)

    attempt()
