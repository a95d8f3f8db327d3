"""LoRA, QLoRA and full fine-tuning of the real SmolLM2, five steps each: it learns, is saved and loads again."""

import json
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from hubtune.models.gguf import convert_gguf
from hubtune.models.pretrained import PinnedBase, load_tokenizer
from hubtune.models.release_model import TOLERANCES, replay, take_probe
from hubtune.records.rundir import RunDirectory
from hubtune.resources import quickstart_dir
from hubtune.train.setup import TrainJob
from hubtune.train.training import train
from tests.encoding import encode
from tests.listener import Listener
from tests.sample_runs import sample_config, sample_pins

pytestmark = pytest.mark.full_trial


@pytest.fixture(scope="module")
def smollm2(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    convert_gguf(real_model, folder)
    return folder


@pytest.mark.parametrize(("method", "rate"), [("lora", 1e-3), ("qlora", 1e-3), ("full", 1e-4)])
def test_five_steps_are_learnt_saved_and_loaded(smollm2: Path, tmp_path: Path, method: str, rate: float):
    tokenizer = load_tokenizer(smollm2, "org/base")
    lines = (quickstart_dir() / "aphorisms.jsonl").read_text(encoding="utf-8").splitlines()[:20]
    rows = encode([json.loads(line)["quote"] for line in lines], tokenizer, 64)
    artifact = ["publish.artifact=merged"] if method == "full" else []
    config = sample_config(f"train.method={method}", f"train.learning_rate={rate}", "train.logging_steps=1", *artifact)
    run = RunDirectory.create(config, parent=tmp_path)
    run.write(sample_pins())

    base = PinnedBase(sample_pins().base, smollm2, tokenizer)
    record = train(TrainJob(run, base, rows, Listener(), held_out=rows))

    assert record.steps == 5
    assert record.held_out_losses[-1].loss < record.first_loss
    if record.whole:
        tuned = AutoModelForCausalLM.from_pretrained(run.model_dir)
    else:
        tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(smollm2), run.adapter_dir)
    base = AutoModelForCausalLM.from_pretrained(smollm2)
    assert replay(base, take_probe(tuned, tokenizer)).difference > TOLERANCES["bf16"]
