"""What every method saves of every architecture loads by the ecosystem's own classes with the logits of its probe."""

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from hubtune.evaluate.evaluation import evaluate
from hubtune.models.load import load_tokenizer
from hubtune.models.probe import replay
from tests.encoding import encode
from tests.listener import Listener
from tests.train.conftest import TEXTS

# One of each architecture and of each method; the others are of the same kinds.
SAMPLE = [("gpt2", "lora"), ("llama", "freeze"), ("chat", "full"), ("neox", "full"), ("llama", "qlora")]
METHODS = ("lora", "qlora", "full", "freeze")
CASES = [(model, method) for model in ("gpt2", "llama", "chat", "neox") for method in METHODS]
OTHERS = [pytest.param(*case, marks=pytest.mark.full_trial) for case in CASES if case not in SAMPLE]


@pytest.mark.parametrize(("model", "method"), [*SAMPLE, *OTHERS])
def test_it_loads_with_the_logits_of_its_probe(request, train_on, model: str, method: str):
    base = request.getfixturevalue(model)
    trained = train_on(base, f"train.method={method}", "train.learning_rate=0.02", "train.lora.r=2")
    trained.run.write(trained.record)
    tokenizer = load_tokenizer(base, "org/base")
    rows = encode(TEXTS[:2], tokenizer, 64)

    found = evaluate(trained.run, trained.run.config(), base, tokenizer, trained.record, rows, rows, Listener())

    if trained.record.whole:
        loaded = AutoModelForCausalLM.from_pretrained(trained.run.model_dir)
    else:
        # The dtype that the record states, as the card's numbers are of it.
        dtype = {"fp32": "float32", "bf16": "bfloat16"}[trained.record.precision]
        loaded = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base, dtype=dtype), trained.run.adapter_dir
        )
    assert replay(loaded, found.probe.prompts).difference < 1e-3
    assert found.probe.difference > 1e-2
