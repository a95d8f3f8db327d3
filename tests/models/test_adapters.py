"""An adapter acts with all that its files hold, or is refused by name: peft alone drops what does not fit."""

import contextlib
import copy
import itertools
import json
import random
import re
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hubtune.config import training
from hubtune.errors import HubtuneError, MergeError, ModelError
from hubtune.models import adapter_settings
from hubtune.models.adapter_changes import read_adapter
from hubtune.models.adapter_settings import parse_settings, read_settings
from hubtune.models.adapters import load_adapter
from hubtune.models.pretrained import load_base
from hubtune.train.methods.lora import add_lora
from hubtune.train.methods.method import save_adapter
from tests.architectures import make_model
from tests.sample_runs import BASE_REPO, sample_pins
from tests.tiny_models import make_adapter_act

NAME = "org/tuned@" + "ab" * 20
IDS = torch.tensor([[5, 6, 7, 8]])
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
NORM = "base_model.model.model.norm.weight"
ROWS = "base_model.model.lm_head.token_adapter.trainable_tokens_delta"
MAGNITUDE = FIRST.replace("lora_A.weight", "lora_magnitude_vector")
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def made(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on all layers of a Llama, rank 4, that acts."""
    model = add_lora(load_base(llama, BASE_REPO, "fp32"), training.LoraConfig(r=4), sample_pins().base)
    make_adapter_act(model)
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    save_adapter(model, folder)
    return folder


@pytest.fixture
def adapter(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "adapter"))


def _state(folder: Path, **values: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def _change(folder: Path, change: Callable[[Weights], object]) -> None:
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    changed = change(weights)
    save_file(changed if isinstance(changed, dict) else weights, file, metadata={"format": "pt"})


def _load(base: Path, folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return load_adapter(load_base(base, BASE_REPO, "fp32"), folder, NAME)(IDS).logits


def _refused(base: Path, folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_adapter(load_base(base, BASE_REPO, "fp32"), folder, NAME)
    assert NAME in caught.value.message
    assert caught.value.hint
    return caught.value


def test_an_adapter_acts_as_peft_has_it(adapter: Path, llama: Path):
    from peft import PeftModel

    with torch.no_grad():
        expected = PeftModel.from_pretrained(load_base(llama, BASE_REPO, "fp32"), str(adapter))(IDS).logits

    assert torch.equal(_load(llama, adapter), expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: {f"x.{name}": value for name, value in weights.items()}, "fits no module"),
        (
            lambda weights: {name.replace("layers", "blocks"): v for name, v in weights.items()},
            r"blocks\.0\..* fits no module",
        ),
        (
            lambda weights: weights.update({FIRST.replace("layers.0", "layers.7"): torch.ones(4, 32)}),
            r"layers\.7\.self_attn\.q_proj\.lora_A\.weight, which fits no module",
        ),
        (lambda weights: weights.pop(FIRST), f"lacks 1 of the tensors .* such as {re.escape(FIRST)}"),
        (lambda weights: weights[FIRST].fill_(float("nan")), rf"not finite .* in {re.escape(FIRST)}"),
        (lambda weights: weights[FIRST][0].fill_(float("-inf")), rf"not finite .* in {re.escape(FIRST)}"),
        (lambda weights: weights.update({FIRST: weights[FIRST][:2].clone()}), "of rank 2, and .* says 4"),
        (lambda weights: weights.update({FIRST: weights[FIRST][:, :5].clone()}), r"\[4, 5\], and \[4, 32\] is needed"),
        (lambda weights: weights.update({FIRST: weights[FIRST].to(torch.int8)}), f"stores {re.escape(FIRST)} as I8"),
        (lambda weights: weights.update({FIRST: torch.ones(())}), "of rank 0"),
        (lambda _: {"x": torch.ones(1)}, "holds x, which fits no module"),
        (lambda weights: weights.update({NORM: torch.ones(5)}), r"norm\.weight has the shape \[5\]"),
        (
            lambda weights: weights.update({ROWS: torch.ones(1, 32)}),
            "1 rows for lm_head, and its adapter_config.json names 0 tokens",
        ),
        (lambda weights: weights.update({MAGNITUDE: torch.ones(32)}), "does not call for, so that it would not act"),
    ],
    ids=[
        "no name fits",
        "other names",
        "a layer too many",
        "one missing",
        "NaN",
        "infinity",
        "another rank",
        "another width",
        "whole numbers",
        "a scalar",
        "one foreign tensor",
        "a norm of another size",
        "rows of no tokens",
        "a tensor that would not act",
    ],
)
def test_tensors_that_would_not_act_as_they_are_named_are_refused(adapter, llama, change, said):
    _change(adapter, change)

    assert re.search(said, _refused(llama, adapter).message)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"r": 8}, "of rank 4, and its adapter_config.json says 8"),
        ({"rank_pattern": {"q_proj": 10**6}}, "of rank 4, and its adapter_config.json says 1000000"),
        ({"r": 10**30}, "`r` in adapter_config.json"),
        ({"lora_alpha": float("nan")}, "`lora_alpha`"),
        ({"lora_alpha": 0}, "`lora_alpha`"),
        ({"peft_type": "XLORA", "adapters": {"a": "/home/ann/adapter"}}, "of the type 'XLORA'"),
        ({"peft_type": None}, "of the type None"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"base_model_name_or_path": ["org/base"]}, "`base_model_name_or_path`"),
        ({"auto_mapping": {"base_model_class": "Popen", "parent_library": "os"}}, "code outside of transformers"),
        (
            {"task_type": None, "auto_mapping": {"base_model_class": "GPT2Model", "parent_library": "transformers.x"}},
            "names the class GPT2Model, and the base is a LlamaForCausalLM",
        ),
        ({"task_type": "SEQ_CLS"}, "for the task SEQ_CLS"),
        ({"init_lora_weights": "pissa"}, "changes the base model's own weights"),
        ({"init_lora_weights": "corda", "corda_config": {"cache_file": "/etc/passwd"}}, "uses `corda_config"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "`megatron_core`"),
        ({"layer_replication": [[0, 10**9]]}, "uses `layer_replication"),
        ({"made_up": 1}, "uses `made_up: 1`"),
        ({"alpha_pattern": {f"z{number}.*": 16 for number in range(200_000)}}, "alpha_pattern"),
        ({"modules_to_save": ["nothing"]}, "names nothing, which fits no module"),
        ({"modules_to_save": ["lm_head"]}, "cannot be loaded|lacks"),
        ({"modules_to_save": ["(a+)+$"]}, "`modules_to_save`"),
        ({"trainable_token_indices": {"nothing": [1]}}, "names nothing, which fits no module"),
        ({"trainable_token_indices": {"embed_tokens": [10**9]}}, "cannot be loaded|lacks"),
        ({"target_modules": ["q_proj"]}, "does not call for, so that it would not act"),
        ({"target_modules": [".*(q|k"]}, "`target_modules`"),
        ({"target_modules": ".*(q|k"}, "which is faulty"),
        ({"target_modules": "(?R)"}, "which could take too long to match"),
        ({"target_modules": ".*q_proj"}, "does not call for, so that it would not act"),
        ({"exclude_modules": ["q_proj"]}, "does not call for, so that it would not act"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_do_not_say_what_the_tensors_are_are_refused(adapter, llama, values, said):
    _state(adapter, **values)

    assert re.search(said, _refused(llama, adapter).message)


@pytest.mark.parametrize(
    "content",
    [b"not JSON", b"[1]", b"\xff", b'{"r": ' + b"9" * 5000 + b"}", b"[" * 100_000, b"{}"],
    ids=["text", "list", "bytes", "digits", "depth", "empty"],
)
def test_a_config_that_is_none_is_refused(adapter, llama, content: bytes):
    (adapter / "adapter_config.json").write_bytes(content)

    _refused(llama, adapter)


def test_settings_that_are_too_large_are_refused_with_the_adapter_s_name(adapter):
    (adapter / "adapter_config.json").write_bytes(b" " * (5 << 20))

    with pytest.raises(ModelError, match=r"adapter_config\.json of the adapter org/a@main is larger") as refused:
        read_settings(adapter, "org/a@main")

    assert str(adapter) not in refused.value.message


@pytest.mark.parametrize("left", [0, 7, 100, -1], ids=["nothing", "no header", "half a header", "a byte short"])
def test_a_file_that_was_cut_short_is_called_damaged(adapter, llama, left: int):
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:left])

    assert "damaged or cut short" in _refused(llama, adapter).message


def test_a_pickle_in_the_place_of_safetensors_is_not_read(adapter, llama):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")

    assert "no adapter_model.safetensors" in _refused(llama, adapter).message


def test_patterns_of_an_honest_adapter_are_taken_as_peft_takes_them(adapter, llama):
    expected = _load(llama, adapter)

    _state(adapter, target_modules=r".*\.(?:self_attn|mlp)\.(?:[qkvo]|gate|up|down)_proj")
    assert torch.equal(_load(llama, adapter), expected)

    _state(adapter, r=8, rank_pattern={r"model\.layers\.[01]\..*_proj": 4}, alpha_pattern={r".*_proj$": 32})
    _state(adapter, r=4)
    assert torch.equal(_load(llama, adapter), expected)


def test_of_many_patterns_those_count_that_peft_takes(adapter, llama):
    """peft would compile each anew for each module."""
    expected = _load(llama, adapter)
    others = {f"other.layers.{number}.q_proj": 2 for number in range(900)}
    named = {r"model.layers.0.self_attn.q_proj": 4, **others, "q_proj": 4}

    _state(
        adapter,
        rank_pattern=named,
        alpha_pattern={**others, "model.layers.1.mlp": 3},
        target_modules=[
            *(f"other.layers.{number}.q_proj" for number in range(90_000)),
            *json.loads((adapter / "adapter_config.json").read_text())["target_modules"],
        ],
    )

    assert torch.equal(_load(llama, adapter), expected)


BOMBS = [
    *("(a+)+$", "(.*)*\n", "(.|..)+\n", "(?:.|..)*?\n", "(.+)+\n", "((.*)*)*\n", r"(\w+\.?)+\n", r"(?:(?:\w|\.)+)+\n"),
    *(
        r"^(([a-z_0-9])+.)+[A-Z]([a-z])+$",
        r"(?:.*.*)*.*.*.*.*.*\n",
        "(?:.{1,90}){1,90}\n",
        "(?:.?){9000}\n",
        "(?=(.+)+\n)",
    ),
    *("(?:a{9}){9}" + "{9}" * 9, "(?R)", "(?:(?P<x>.)(?&x))*", "(" * 1500, "[" * 4000, "(?:model){e<=3}", "|" * 3999),
]


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_an_expression_that_would_take_for_ever_is_stopped(adapter, llama, monkeypatch, bomb: str):
    """Whatever the setting that holds it: the adapter is refused, or the expression is matched by the limit."""
    monkeypatch.setattr(adapter_settings, "_SECONDS", 0.2)
    base = load_base(llama, BASE_REPO, "fp32")
    plain = json.loads((adapter / "adapter_config.json").read_text())
    for values in (
        {"target_modules": bomb},
        {"exclude_modules": bomb},
        {"rank_pattern": {bomb: 3, f"{bomb}x": 2}},
        {"alpha_pattern": {bomb: 3}},
        {"layers_to_transform": [0], "layers_pattern": bomb},
        {"modules_to_save": [bomb]},
    ):
        (adapter / "adapter_config.json").write_text(json.dumps({**plain, **values}))
        with contextlib.suppress(ModelError):
            load_adapter(copy.deepcopy(base), adapter, NAME)
        with contextlib.suppress(MergeError):
            read_adapter(adapter, "model.embed_tokens")


def test_the_expressions_of_an_adapter_have_one_limit_of_time_together(monkeypatch):
    """Each of thousands would else have its own, or the least that there is."""
    clock = itertools.count()
    monkeypatch.setattr(adapter_settings, "time", SimpleNamespace(monotonic=lambda: next(clock) / 10))
    found = adapter_settings.ModulePatterns(f"adapter_config.json of the adapter {NAME}")

    def match_many() -> None:
        for number in range(100):
            assert found.fitting("target_modules", f"c|{number}", ["c"]) == ["c"]

    with pytest.raises(ModelError, match="takes more than 5 seconds"):
        match_many()
    with pytest.raises(ModelError, match="takes more than 5 seconds"):
        found.value("rank_pattern", {"c": 3}, "c")


SETTINGS = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "task_type": "CAUSAL_LM", "r": 2}
ODD = st.recursive(
    st.sampled_from([None, True, False, 0, -1, 2, "q_proj"]) | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    *("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "modules_to_save", "rank_pattern"),
    *("alpha_pattern", "layers_to_transform", "layers_pattern", "trainable_token_indices", "auto_mapping", "task_type"),
    *("init_lora_weights", "use_dora", "use_rslora", "base_model_name_or_path", "revision", "peft_type"),
    *("lora_bias", "fan_in_fan_out", "ensure_weight_tying", "inference_mode", "eva_config", "bias"),
]


def test_odd_adapters_load_or_are_refused_and_nothing_else(tmp_path: Path, trials):
    """Whatever stands in the two files: an adapter that acts, or hubtune's own error with the adapter's name."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    folder = tmp_path / "adapter"
    adapted = get_peft_model(make_model("llama"), config)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    stated = {**json.loads((folder / "adapter_config.json").read_text()), **SETTINGS}
    good = (folder / "adapter_model.safetensors").read_bytes()

    @settings(max_examples=trials(60, 2000), suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(KEYS), ODD, max_size=3), st.integers(0, 2**32))
    def attempt(changed: dict[str, object], seed: int) -> None:
        (folder / "adapter_config.json").write_text(json.dumps({**stated, **changed}))
        (folder / "adapter_model.safetensors").write_bytes(_spoilt(good, random.Random(seed)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert NAME in _fault(lambda: load_adapter(make_model("llama"), folder, NAME))

    attempt()


def _spoilt(content: bytes, chance: random.Random) -> bytes:
    """Returns a safetensors file with a header that was edited, bytes that were changed, or as it is."""
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    name = chance.choice(names)
    kind = chance.randrange(9)
    if kind == 0:
        header[name]["shape"] = [chance.choice([0, 1, 2, 16, 2**62]) for _ in range(chance.randrange(4))]
    elif kind == 1:
        header[name]["dtype"] = chance.choice(["F16", "I64", "BOOL", "F8_E4M3", "X"])
    elif kind == 2:
        header[chance.choice(["x", "base_model.model.lm_head.weight", name.replace("q_proj", "k_proj")])] = header.pop(
            name
        )
    elif kind == 3:
        del header[name]
    elif kind == 4:
        header[name]["data_offsets"] = [chance.randrange(-9, 999), chance.randrange(-9, 2**40)]
    elif kind == 5:
        return content[: chance.randrange(len(content))]
    elif kind == 6:
        place = chance.randrange(len(data) // 4) * 4
        data = data[:place] + struct.pack("<f", float("nan")) + data[place + 4 :]
    text = json.dumps(header).encode()
    return struct.pack("<Q", chance.choice([len(text)] * 9 + [2**63])) + text + data


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.dictionaries(st.sampled_from(KEYS), ODD).map(lambda v: json.dumps(v).encode()))
def test_settings_of_any_bytes_are_read_or_refused(content: bytes):
    assert NAME in _fault(lambda: parse_settings(content, NAME))


def _fault(work: Callable[[], object]) -> str:
    """Returns the message of hubtune's own error, if there is one; any other error is raised."""
    try:
        work()
    except HubtuneError as error:
        return error.message
    return NAME
