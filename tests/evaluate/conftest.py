"""Rows of very different lengths, and adapters that act, on the tiny models."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from hubtune.config.training import LoraConfig
from hubtune.data.tokenization import Example
from hubtune.evaluate.bench import Bench
from hubtune.evaluate.evaluation import without_adapter
from hubtune.models.generation import safe_generation_config
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.train.methods.lora import add_lora
from tests.encoding import encode
from tests.evaluate.plugin import plugin  # noqa: F401 - a fixture
from tests.sample_runs import BASE_REPO, sample_pins, saying
from tests.tiny_models import CONTEXT, make_adapter_act


def rows(folder: Path, count: int = 23) -> list[Example]:
    """Returns examples of one to some forty tokens."""
    texts = [("{quote} " * (1 + number % 3)).format_map(saying(number))[: 1 + 9 * number] for number in range(count)]
    return encode(texts, load_tokenizer(folder, BASE_REPO), 64)


@pytest.fixture
def examples(tiny_model: Path) -> list[Example]:
    return rows(tiny_model)


@pytest.fixture
def bench(tiny_model: Path, tuned, examples, listener) -> Bench:
    """Both sides of an adapted model, on 23 rows."""
    tokenizer = load_tokenizer(tiny_model, BASE_REPO)
    return Bench(
        sides={"base": lambda: without_adapter(tuned), "tuned": lambda: nullcontext(tuned)},
        tokenizer=tokenizer,
        held_out=examples,
        train=[],
        generation=safe_generation_config(tiny_model, tokenizer, BASE_REPO),
        context=CONTEXT,
        batch_size=4,
        seed=42,
        progress=listener,
        max_new_tokens=8,
    )


@pytest.fixture
def tuned(tiny_model: Path):
    """A model with an adapter that changes what it says."""
    model = add_lora(load_base(tiny_model, BASE_REPO, "fp32"), LoraConfig(r=4), sample_pins().base)
    make_adapter_act(model)
    return model
