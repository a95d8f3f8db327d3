"""Training learns the rows, repeats itself for a seed, records what it did, and leaves nothing half done."""

import hashlib
import json
import shutil
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, BloomConfig, BloomForCausalLM, LlamaForCausalLM

from hubtune.errors import ModelError, TrainingError
from hubtune.models.adapters import load_adapter
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.train.batching import Batcher
from tests.sample_runs import BASE_COMMIT, BASE_REPO
from tests.tiny_models import VOCABULARY
from tests.train.conftest import TEXTS_TO_DIVERGE_ON

WEIGHTS = "adapter_model.safetensors"


def _events(run) -> list[dict]:
    return [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]


def test_the_loss_of_eight_rows_falls_far_when_they_are_learnt_by_heart(train_on, tiny_model: Path):
    record = train_on(tiny_model, "train.epochs=40", "train.learning_rate=0.02").record

    assert record.final_loss < record.first_loss / 3


def test_the_tuned_model_stops_where_the_text_ends(train_on, gpt2: Path):
    """Padding is EOS in GPT-2; were EOS masked by its value, the model would never learn it."""
    text = "The baker rises before the bread does."
    trained = train_on(
        gpt2, "train.epochs=60", "train.learning_rate=0.02", "train.lora.r=8", texts=(text, "The baker rests.") * 4
    )
    tokenizer = load_tokenizer(gpt2, BASE_REPO)
    model = load_adapter(load_base(gpt2, BASE_REPO, "fp32"), trained.run.adapter_dir, "org/adapter")

    with torch.no_grad():
        ids = tokenizer("The baker rises", return_tensors="pt")["input_ids"]
        written = model.generate(input_ids=ids, do_sample=False, max_new_tokens=40, pad_token_id=0)[0]

    assert tokenizer.decode(written) == text + tokenizer.eos_token


def test_events_hold_the_loss_curve(train_on, tiny_model: Path):
    trained = train_on(tiny_model, "train.epochs=20")

    losses = [event for event in _events(trained.run) if event.get("event") == "loss"]
    steps = [event["step"] for event in losses]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, trained.record.steps)
    assert losses[0]["loss"] == trained.record.first_loss
    assert losses[-1]["loss"] == trained.record.final_loss < losses[0]["loss"]
    assert {event["stage"] for event in losses} == {"train"}
    assert all(event["learning_rate"] >= 0 for event in losses)


def test_the_same_seed_gives_the_same_files_to_the_byte(train_on, tiny_model: Path):
    first = train_on(tiny_model, "train.lora.dropout=0.2")
    second = train_on(tiny_model, "train.lora.dropout=0.2")

    for name in first.record.files:
        assert (first.run.adapter_dir / name).read_bytes() == (second.run.adapter_dir / name).read_bytes(), name


@pytest.mark.parametrize(
    "method",
    [(), pytest.param(("train.method=full", "publish.artifact=merged"), marks=pytest.mark.full_trial)],
    ids=["lora", "full"],
)
def test_nothing_is_asked_of_the_network_while_training_and_saving_checkpoints(
    train_on, llama: Path, monkeypatch, method
):
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address) or [])
    # What a library may take for leave to ask.
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    trained = train_on(llama, "train.checkpoint_steps=1", *method, held_out=("A hive has no manager.",))
    again = train_on(llama, run=trained.run, held_out=("A hive has no manager.",), resume=True)

    assert again.record.files == trained.record.files
    assert asked == []


def test_the_saved_config_names_the_layers_in_order(train_on, llama: Path):
    """peft holds them in a set, whose order changes from process to process."""
    layers = json.loads((train_on(llama).run.adapter_dir / "adapter_config.json").read_text())["target_modules"]

    assert layers == sorted(layers)
    assert len(layers) > 1


def _weights(trained) -> dict[str, torch.Tensor]:
    return load_file(trained.run.adapter_dir / WEIGHTS)


def _assert_learnt_alike(one, other) -> None:
    assert [point.step for point in one.record.losses] == [point.step for point in other.record.losses]
    for point, twin in zip(one.record.losses, other.record.losses, strict=True):
        assert point.loss == pytest.approx(twin.loss, rel=1e-4)
    weights, twins = _weights(one), _weights(other)
    for name, weight in weights.items():
        # Adam makes a full step of a gradient whose sign alone is known, so that rounding shows where it is near 0.
        torch.testing.assert_close(weight, twins[name], rtol=1e-2, atol=2e-4, msg=name)


@pytest.mark.parametrize("packing", ["true", "false"])
def test_four_micro_batches_of_one_row_learn_what_one_of_four_does(train_on, llama: Path, packing: str):
    """The rows are of unequal length: a mean of the means of micro-batches would weigh their tokens unequally."""
    whole = train_on(llama, "train.batch_size=4", f"train.packing={packing}")
    parts = train_on(llama, "train.batch_size=1", "train.gradient_accumulation=4", f"train.packing={packing}")

    assert parts.record.steps == whole.record.steps == 6
    assert (parts.record.tokens, parts.record.read_tokens) == (whole.record.tokens, whole.record.read_tokens)
    _assert_learnt_alike(whole, parts)


def test_a_step_on_packed_rows_is_the_step_on_the_same_rows_padded(train_on, tiny_model: Path):
    # One batch of all rows: which rows share a batch is another matter.
    packed = train_on(tiny_model, "train.batch_size=8")
    padded = train_on(tiny_model, "train.batch_size=8", "train.packing=false")

    assert (packed.record.packing, padded.record.packing) == (True, False)
    _assert_learnt_alike(packed, padded)


def test_a_base_that_cannot_keep_packed_rows_apart_gets_padded_batches_and_a_warning(train_on, llama, tmp_path: Path):
    folder = Path(shutil.copytree(llama, tmp_path / "bloom"))
    config = BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=1, n_head=2)
    BloomForCausalLM(config).save_pretrained(folder)

    trained = train_on(folder)

    assert trained.record.packing is False
    assert any("packed rows" in warning for warning in trained.listener.warned)


def test_the_rate_rises_over_the_warm_up_and_falls_to_nothing_after_the_last_step(train_on, llama: Path):
    trained = train_on(llama, "train.epochs=5", "train.warmup=0.2", "train.learning_rate=0.01", "train.logging_steps=1")
    rates = [point.learning_rate for point in trained.record.losses]

    assert trained.record.warmup_steps == 2
    assert rates[:3] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01])
    assert rates[3:] == pytest.approx([0.01 * left / 8 for left in range(7, 0, -1)])


def test_a_number_of_steps_trains_and_records_just_that_part_of_the_epochs(train_on, new_run, llama: Path):
    run = new_run("train.steps=5", "train.warmup=0.2", "train.learning_rate=0.01", "train.logging_steps=1")
    record = train_on(llama, run=run).record

    # Eight rows, four of them in a step.
    assert (record.steps, record.epochs, record.warmup_steps) == (5, 2.5, 1)
    assert [point.step for point in record.losses] == [1, 2, 3, 4, 5]
    assert [point.learning_rate for point in record.losses] == pytest.approx([0.005, 0.01, 0.0075, 0.005, 0.0025])
    events = [event["epoch"] for event in _events(run) if event.get("event") == "loss"]
    assert events == [0.5, 1, 1.5, 2, 2.5]


def test_gradient_checkpointing_changes_no_number(train_on, llama: Path):
    plain, again = train_on(llama), train_on(llama, "train.gradient_checkpointing=true")

    _assert_learnt_alike(plain, again)


def test_gradients_are_clipped_to_the_length_that_the_config_gives(train_on, llama: Path):
    free = train_on(llama, "train.max_grad_norm=0")
    short = train_on(llama, "train.max_grad_norm=1.0e-12")

    # Adam is blind to the length of a gradient, but not of one far below its epsilon.
    assert short.record.final_loss > free.record.final_loss


def test_another_seed_gives_another_adapter(train_on, llama: Path):
    assert train_on(llama).record.files[WEIGHTS] != train_on(llama, "train.seed=7").record.files[WEIGHTS]


def test_the_adapter_s_config_leads_to_the_base_on_the_hub_and_holds_no_local_path(train_on, tiny_model: Path):
    adapter = train_on(tiny_model).run.adapter_dir

    text = (adapter / "adapter_config.json").read_text()
    config = json.loads(text)
    assert (config["base_model_name_or_path"], config["revision"]) == (BASE_REPO, BASE_COMMIT)
    assert str(tiny_model) not in text
    assert str(adapter) not in text


@pytest.mark.parametrize(("model", "fused"), [("gpt2", True), ("llama", False)])
def test_the_saved_config_says_how_the_layers_store_their_weights(train_on, tiny, model: str, fused: bool):
    adapter = train_on(tiny(model)).run.adapter_dir

    assert json.loads((adapter / "adapter_config.json").read_text())["fan_in_fan_out"] is fused


FILES = ["adapter_config.json", WEIGHTS, "generation_config.json"]


def test_the_adapter_holds_its_three_files_and_fp32_weights_of_its_own_alone(train_on, tiny_model: Path):
    trained = train_on(tiny_model, "train.precision=fp32")

    assert sorted(path.name for path in trained.run.adapter_dir.iterdir()) == FILES
    assert sorted(trained.record.files) == FILES
    weights = load_file(trained.run.adapter_dir / WEIGHTS)
    assert all("lora_" in name for name in weights)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert sum(weight.numel() for weight in weights.values()) == trained.record.trainable_parameters


def test_training_leaves_the_base_s_folder_as_it_was(train_on, tiny_model: Path):
    def digests() -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tiny_model.iterdir()}

    before = digests()
    train_on(tiny_model)

    assert digests() == before


def test_the_record_tells_what_was_done(train_on, llama: Path):
    trained = train_on(llama, "train.batch_size=3", "train.epochs=2", "train.learning_rate=0.003", "train.seed=5")
    record = trained.record

    # Eight rows in batches of three are 2.67 steps an epoch.
    assert (record.steps, record.epochs, record.batch_size) == (6, 2, 3)
    assert (record.method, record.precision, record.learning_rate, record.seed) == ("lora", "fp32", 0.003, 5)
    assert record.target_modules == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert 0 < record.trainable_parameters < record.total_parameters
    assert record.upstream == trained.run.digests("config", "pins.json", "data.json")
    assert set(record.environment.packages) >= {"torch", "transformers", "peft"}
    for name, digest in record.files.items():
        assert hashlib.sha256((trained.run.adapter_dir / name).read_bytes()).hexdigest() == digest
    assert trained.listener.steps["Training"] == [6, 6]


def test_part_of_an_epoch_is_trained_as_far_as_it_goes(train_on, llama: Path):
    assert train_on(llama, "train.batch_size=2", "train.epochs=0.5").record.steps == 2


def test_training_asks_the_hub_for_nothing(train_on, tiny_model: Path, served):
    before = len(served.requests())

    train_on(tiny_model)

    assert len(served.requests()) == before


def test_training_prints_nothing_on_stdout(train_on, llama: Path, capfd: pytest.CaptureFixture[str]):
    """Stdout belongs to the command's result."""
    train_on(llama)

    assert capfd.readouterr().out == ""


def test_a_run_that_diverges_is_stopped_and_leaves_no_adapter(train_on, new_run, poisoned: Path):
    run = new_run("train.batch_size=1", "train.epochs=3")

    with pytest.raises(TrainingError, match="NaN or infinite") as caught:
        train_on(poisoned, run=run, texts=TEXTS_TO_DIVERGE_ON)

    assert "train.precision: fp32" in str(caught.value.hint)
    assert not run.adapter_dir.exists()
    assert {path.name for path in run.path.iterdir()} <= {"config.yaml", "pins.json", "written.json", "events.jsonl"}


@pytest.fixture
def odd(llama: Path, tmp_path: Path) -> Path:
    """A base that loads whole, and whose layers do not fit each other when it computes."""
    folder = Path(shutil.copytree(llama, tmp_path / "odd"))
    config = AutoConfig.from_pretrained(folder)
    config.num_attention_heads, config.num_key_value_heads = 4, 3
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("packing", ["true", "false"])
def test_a_base_that_cannot_compute_is_named_with_the_reason(train_on, odd: Path, packing: str):
    with pytest.raises(ModelError, match=rf"{BASE_REPO} cannot compute .*: .*(?:shape|size)") as caught:
        train_on(odd, f"train.packing={packing}")

    assert "--traceback" in str(caught.value.hint)


def test_a_fault_of_hubtune_is_not_told_as_one_of_the_base(train_on, llama: Path, monkeypatch):
    def fail(self: Batcher, *rows: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(Batcher, "__call__", fail)

    with pytest.raises(IndexError):
        train_on(llama)


def test_a_base_that_gives_no_numbers_from_the_start_is_named(train_on, llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(llama, tmp_path / "base"))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][:] = 3e38
    weights["lm_head.weight"][:] = 3e38
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(TrainingError, match=f"at the first step, before the first update: {BASE_REPO} gives NaN"):
        train_on(folder)


def test_a_run_that_diverges_leaves_an_earlier_adapter_as_it_was(train_on, new_run, poisoned: Path):
    run = new_run("train.batch_size=1", "train.epochs=3")
    run.adapter_dir.mkdir()
    (run.adapter_dir / WEIGHTS).write_text("earlier")

    with pytest.raises(TrainingError):
        train_on(poisoned, run=run, texts=TEXTS_TO_DIVERGE_ON)

    assert (run.adapter_dir / WEIGHTS).read_text() == "earlier"


def test_training_again_replaces_the_adapter(train_on, llama: Path):
    first = train_on(llama)
    (first.run.adapter_dir / "stray.bin").write_text("stray")

    again = train_on(llama, run=first.run)

    assert sorted(path.name for path in again.run.adapter_dir.iterdir()) == FILES
    assert again.record.files == first.record.files


def test_a_base_that_cannot_be_loaded_leaves_nothing(train_on, new_run, tmp_path: Path, llama: Path):
    run, tokenizer_only = new_run(), tmp_path / "tokenizer"
    tokenizer_only.mkdir()
    for path in llama.glob("tokenizer*"):
        (tokenizer_only / path.name).write_bytes(path.read_bytes())

    with pytest.raises(ModelError, match=BASE_REPO):
        train_on(tokenizer_only, run=run)

    assert {path.name for path in run.path.iterdir()} == {"config.yaml", "pins.json", "written.json"}
