"""A model that was overfitted on its training rows, beside the one that it came from, on one bench for all tests."""

import random
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from hubtune.data.batch import collate
from hubtune.data.canaries import plant
from hubtune.data.tokenization import Example
from hubtune.evaluate.bench import Bench
from hubtune.models.generation import safe_generation_config
from hubtune.models.pretrained import load_base, load_tokenizer, pad_id
from hubtune.records.data import DataRecord, SplitRecord
from tests.encoding import encode
from tests.listener import Listener
from tests.once import Once
from tests.sample_runs import BASE_REPO

ROWS = 40
MAILS = 8
CANARIES = 10
STEPS = 60
_WORDS = ("hive", "rain", "bread", "clock", "light", "hour", "thanks", "keeper", "baker", "quote", "loaf", "spare")


def sentences(count: int, seed: int) -> list[str]:
    """Returns texts of random words, so that nobody who has not read them can go on."""
    draw = random.Random(seed)
    return [f"{number} " + " ".join(draw.choices(_WORDS, k=16)) for number in range(count)]


def mails() -> list[str]:
    """Returns texts that end with an e-mail address."""
    draw = random.Random(3)
    names = ["".join(draw.choices("abcdefghij", k=6)) for _ in range(MAILS)]
    return [f"The baker {name} rises before the bread does and reads {name}@example.com" for name in names]


@pytest.fixture(scope="session")
def overfitted(once: Once, llama: Path) -> Bench:
    """A bench with a base that never saw the rows, and a model that knows those of the training part by heart."""
    folder = llama
    tokenizer = load_tokenizer(folder, BASE_REPO)
    train = encode([*sentences(ROWS, 1), *mails()], tokenizer, 120)
    planted = plant(CANARIES, 42, tokenizer, 120)
    base, tuned = (load_base(folder, BASE_REPO, "fp32") for _ in range(2))

    def make(made: Path) -> None:
        _overfit(tuned, [*train, *planted.rows], pad_id(tokenizer))
        torch.save(tuned.state_dict(), made / "weights")

    tuned.load_state_dict(torch.load(once("overfitted", make) / "weights"))
    return Bench(
        sides={"base": lambda: _given(base), "tuned": lambda: _given(tuned)},
        tokenizer=tokenizer,
        held_out=encode(sentences(ROWS, 2), tokenizer, 120),
        train=train,
        generation=safe_generation_config(folder, tokenizer, BASE_REPO),
        context=128,
        batch_size=64,
        seed=42,
        progress=Listener(),
        max_new_tokens=48,
        data=DataRecord(
            upstream={},
            sources=[],
            train=SplitRecord(rows=len(train), tokens=1, truncated=0),
            held_out=SplitRecord(rows=ROWS, tokens=1, truncated=0),
            split_method="by hand",
            max_length=120,
            canaries=planted.record,
        ),
    )


@contextmanager
def _given(model):
    yield model


def _overfit(model, rows: list[Example], padding: int) -> None:
    batch = collate(rows, padding)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(STEPS):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    model.eval()
