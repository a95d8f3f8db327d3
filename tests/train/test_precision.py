"""Training in fp16 learns what training in fp32 does, with its trained weights in fp32, and loses no small gradient."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubtune.errors import ModelError
from hubtune.models.pretrained import load_base
from hubtune.train.loss import SummedLoss, places_and_targets

FP16 = "train.precision=fp16"
OPTIONS = ("train.epochs=4", "train.batch_size=2", "train.gradient_accumulation=2", "train.max_grad_norm=2")
WHOLE = ("train.method=full", "train.learning_rate=0.001", "publish.artifact=merged")
WEIGHTS = "adapter_model.safetensors"


@pytest.mark.parametrize(
    ("model", "method"),
    [("llama", ()), ("gpt2", WHOLE), *[pytest.param(*case, marks=pytest.mark.full_trial) for case in (("gpt2", ()),)]],
    ids=["lora", "full", "lora on fused layers"],
)
def test_fp16_gives_the_losses_and_gradients_of_fp32(tiny, train_on, model: str, method):
    base = tiny(model)
    plain, half = train_on(base, *OPTIONS, *method), train_on(base, *OPTIONS, *method, FP16)

    assert (plain.record.precision, half.record.precision) == ("fp32", "fp16")
    assert half.record.final_loss < 0.9 * half.record.first_loss
    for point, twin in zip(half.record.losses, plain.record.losses, strict=True):
        assert point.loss == pytest.approx(twin.loss, rel=1e-2)
        # Of their own size when they are clipped.
        assert point.gradient_norm == pytest.approx(twin.gradient_norm, rel=5e-2)
    folder = half.run.trained_dir(half.record)
    saved = load_file(next(folder.glob("*.safetensors")))
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
    assert any("fp16" in line for line in half.listener.warned)


def test_tokens_that_are_learnt_already_keep_their_gradient(llama: Path):
    """The likelihoods of the wrong tokens are numbers that fp16 does not have."""
    ids = torch.arange(4, 12)[None]
    places, targets = places_and_targets(ids)
    gradients = []
    for precision in ("fp32", "fp16"):
        model = load_base(llama, "org/base", precision)
        with torch.no_grad():
            hidden = model.model(input_ids=ids).last_hidden_state[0, :-1].float()
            likelier = torch.zeros(len(targets), model.config.vocab_size)
            likelier[torch.arange(len(targets)), targets] = 22.0
            model.lm_head.weight += torch.linalg.lstsq(hidden, likelier).solution.T
        weight = model.model.norm.weight.requires_grad_(True)
        loss = SummedLoss(model)(labels=ids, places=places, targets=targets, input_ids=ids)["loss"]
        assert 0 < loss.item() < 1e-3
        # As a GradScaler does.
        (loss * 2**13).backward()
        gradients.append(weight.grad.float())

    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.1, atol=0.02 * float(gradients[0].abs().max()))


def test_steps_whose_gradients_overflow_are_left_out_and_told(train_on, llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(llama, tmp_path / "loud"))
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] *= 3000
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    trained = train_on(folder, FP16)

    (finding,) = [one for one in trained.record.findings if one.name == "gradients overflowed"]
    assert "6 of 6 steps" in finding.evidence
    saved = load_file(trained.run.adapter_dir / WEIGHTS)
    assert all(not weight.any() for name, weight in saved.items() if "lora_B" in name)


def test_a_base_with_numbers_that_fp16_lacks_is_refused_with_what_to_choose(train_on, llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(llama, tmp_path / "large"))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = 1e5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match=r"not finite .* in .*norm\.weight") as caught:
        train_on(folder, FP16)

    assert "`train.precision: auto`" in str(caught.value.hint)


def test_a_run_in_fp16_goes_on_to_the_same_bytes_with_the_scale_that_it_had(train_on, llama: Path):
    whole = train_on(llama, FP16, "train.checkpoint_steps=2")
    adapter = (whole.run.adapter_dir / WEIGHTS).read_bytes()
    newest = whole.run.path / "checkpoints/checkpoint-4"
    assert torch.load(newest / "scaler.pt", weights_only=True)["scale"] == 2**13

    again = train_on(llama, run=whole.run, resume=True)

    assert "Resuming after step 4 of 6" in again.listener.said
    assert (again.run.adapter_dir / WEIGHTS).read_bytes() == adapter
