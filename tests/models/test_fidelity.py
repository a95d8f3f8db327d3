"""How near a merged model is to base and adapter is measured on the model as it lies on disk."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from hubtune.errors import MergeError
from hubtune.models.fidelity import AdaptedBase, measure_fidelity, require_faithful
from hubtune.models.pretrained import load_tokenizer
from hubtune.models.release_model import PROMPTS, encode_prompts
from hubtune.records.release import Fidelity
from tests.listener import Listener
from tests.models.merge_cases import AdapterCase, logits_of, make_adapter, make_base, merge, unmerged

TOKENS = list(range(0, 360, 6))


def merged_case(folder: Path, dtype: str, case: AdapterCase = AdapterCase()) -> tuple[Path, Path, Path]:  # noqa: B008
    base = make_base("llama", folder / "base", dtype=dtype, tie_word_embeddings=False)
    adapter = make_adapter(base, folder / "adapter", case)
    merge(base, adapter, folder / "merged")
    return base, adapter, folder / "merged"


@pytest.fixture(scope="module")
def fp32(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Base, adapter and merged model; for reading only."""
    return merged_case(tmp_path_factory.mktemp("fp32"), "float32")


@pytest.fixture
def spoilt(fp32, tmp_path) -> Path:
    """The merged model, to be spoilt."""
    return Path(shutil.copytree(fp32[2], tmp_path / "spoilt"))


def measure(base: Path, adapter: Path, merged: Path, precision: str = "fp32", **options: object) -> Fidelity:
    adapted = AdaptedBase(base, adapter, **options)
    return measure_fidelity(adapted, merged, [TOKENS, TOKENS[:5]], precision, Listener())


def edit(folder: Path, change) -> None:
    """Changes every tensor of an attention layer on disk."""
    for path in folder.glob("*.safetensors"):
        weights = load_file(path)
        save_file(
            {name: change(name, value) if "proj" in name else value for name, value in weights.items()},
            path,
            metadata={"format": "pt"},
        )


def test_the_numbers_are_those_of_the_definitions(fp32, spoilt):
    base, adapter, _ = fp32
    edit(spoilt, lambda name, value: value * 1.05)

    found = measure_fidelity(AdaptedBase(base, adapter), spoilt, [TOKENS], "fp32", Listener())

    p = logits_of(unmerged(base, adapter)).double()
    q = logits_of(AutoModelForCausalLM.from_pretrained(spoilt)).double()
    plain = logits_of(AutoModelForCausalLM.from_pretrained(base)).double()
    assert (found.prompts, found.positions) == (1, len(TOKENS))
    assert found.max_difference == pytest.approx((p - q).abs().max().item(), rel=1e-4)
    assert found.mean_difference == pytest.approx((p - q).abs().mean().item(), rel=1e-4)
    assert found.largest_logit == pytest.approx(p.abs().max().item(), rel=1e-6)
    kl = torch.nn.functional.kl_div(q.log_softmax(-1), p.log_softmax(-1), log_target=True, reduction="batchmean")
    assert found.kl == pytest.approx(kl.item(), rel=1e-3)
    assert found.greedy_agreement == (p.argmax(-1) == q.argmax(-1)).double().mean().item() < 1
    assert found.base_max_difference == pytest.approx((p - plain).abs().max().item(), rel=1e-4)
    assert found.base_mean_difference == pytest.approx((p - plain).abs().mean().item(), rel=1e-4)
    done, asked = ((logits - plain) - (logits - plain).mean(-1, keepdim=True) for logits in (q, p))
    assert found.effect == pytest.approx(((done * asked).sum() / (asked * asked).sum()).item(), rel=1e-4)
    assert abs(found.effect - 1) > 1e-3


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "fp32"), ("bfloat16", "bf16"), ("float16", "fp16")])
def test_a_right_merge_is_faithful_in_every_number_format(dtype, precision, tmp_path):
    found = measure(*merged_case(tmp_path, dtype), precision)

    require_faithful(found)

    assert found.kl < 1e-3
    assert found.greedy_agreement > 0.85
    assert found.max_difference < found.base_max_difference / 5


def test_an_adapter_with_more_tokens_is_compared_with_as_many(tmp_path):
    case = AdapterCase({"target_modules": ["q_proj"]}, tokens=390)

    require_faithful(measure(*merged_case(tmp_path, "float32", case), vocabulary=390))


def scaled(adapter: Path, folder: Path, factor: float) -> Path:
    """Copies an adapter that does about `factor` times as much."""
    shutil.copytree(adapter, folder)
    stored = load_file(adapter / "adapter_model.safetensors")
    more = {name: value * factor if "lora_B" in name else value for name, value in stored.items()}
    save_file(more, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "fp32"), ("bfloat16", "bf16"), ("float16", "fp16")])
@pytest.mark.parametrize("strength", [1, 0.1])
@pytest.mark.parametrize("factor", [0.75, pytest.param(1.5, marks=pytest.mark.full_trial)])
def test_a_wrong_scaling_is_refused(dtype, precision, strength, factor, tmp_path):
    base, made, _ = merged_case(tmp_path, dtype)
    adapter = scaled(made, tmp_path / "right", strength)
    merge(base, scaled(adapter, tmp_path / "wrong", factor), tmp_path / "other")

    with pytest.raises(MergeError, match="is not what base and adapter are together"):
        require_faithful(measure(base, adapter, tmp_path / "other", precision))


@pytest.mark.parametrize(("dtype", "precision"), [("bfloat16", "bf16"), ("float16", "fp16")])
def test_a_weak_adapter_s_merge_is_faithful_where_its_changes_can_be_held(dtype, precision, tmp_path):
    base, made, _ = merged_case(tmp_path, dtype)
    adapter = scaled(made, tmp_path / "weak", 0.1)
    merge(base, adapter, tmp_path / "other")

    require_faithful(measure(base, adapter, tmp_path / "other", precision))


def test_a_merge_whose_changes_are_rounded_away_is_refused(tmp_path):
    base, made, _ = merged_case(tmp_path, "bfloat16")
    adapter = scaled(made, tmp_path / "weak", 0.01)
    merge(base, adapter, tmp_path / "other")

    with pytest.raises(MergeError, match="of what the adapter does to the logits it does") as refused:
        require_faithful(measure(base, adapter, tmp_path / "other", "bf16"))

    assert "rounds away" in str(refused.value.hint)


def test_a_merged_model_that_is_the_base_is_refused(fp32):
    base, adapter, _ = fp32

    with pytest.raises(MergeError):
        require_faithful(measure(base, adapter, base))


def test_an_adapter_that_does_nothing_is_refused(fp32, tmp_path):
    base, adapter, merged = fp32
    idle = shutil.copytree(adapter, tmp_path / "idle")
    stored = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {name: value * 0 if "lora_B" in name else value for name, value in stored.items()},
        idle / "adapter_model.safetensors",
    )

    with pytest.raises(MergeError, match="says the same with the adapter as without it"):
        require_faithful(measure(base, idle, merged))


def test_a_model_whose_rounding_took_away_what_the_adapter_does_is_refused():
    near = Fidelity(
        reference="full-precision base",
        prompts=1,
        positions=5,
        max_difference=0.02,
        mean_difference=0.004,
        largest_logit=5.0,
        kl=1e-6,
        greedy_agreement=1.0,
        base_max_difference=0.01,
        base_mean_difference=0.003,
        tolerance={"relative_difference": 0.15, "kl": 0.01},
    )

    with pytest.raises(MergeError, match="rounding"):
        require_faithful(near)


def test_logits_that_are_not_numbers_are_refused(fp32, spoilt):
    base, adapter, _ = fp32
    edit(spoilt, lambda name, value: value * float("nan"))

    with pytest.raises(MergeError, match="not a number"):
        measure(base, adapter, spoilt)


def test_a_base_in_four_bits_can_be_the_reference(fp32):
    """Its own roundings then count as well."""
    found = measure(*fp32, quantized="fp32")

    assert found.reference == "4-bit base"
    assert found.tolerance is None
    assert found.kl > 1000 * measure(*fp32).kl


def test_nothing_to_compare_on_is_an_error(fp32):
    with pytest.raises(ValueError, match="nothing to compare"):
        measure_fidelity(AdaptedBase(*fp32[:2]), fp32[2], [], "fp32", Listener())


def test_the_prompts_are_eight_short_starts_that_differ(tiny_model):
    ids = encode_prompts(load_tokenizer(tiny_model, "org/base"))

    assert len(PROMPTS) == len(set(PROMPTS)) == len(ids) == 8
    assert all(0 < len(prompt) <= 64 for prompt in ids)
