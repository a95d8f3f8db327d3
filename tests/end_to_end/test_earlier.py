"""A published adapter is trained further, and what it learned before is held, replayed and measured."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hubtune.card.render import render_card
from hubtune.config.load import parse_config
from hubtune.errors import LockError
from hubtune.metadata.front_matter import front_matter
from hubtune.pin import read_lock, require_lock
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.evaluate_release import measure_release
from hubtune.pipeline.run import run_job
from hubtune.verify.claims import VerifyOptions, verify_release
from tests.end_to_end.test_continued import CONFIG
from tests.end_to_end.test_formats import APHORISMS, upload
from tests.end_to_end.worlds import BASE_CARD
from tests.listener import Listener

ROWS = [json.loads(line) for line in APHORISMS.read_text(encoding="utf-8").splitlines()[:60]]
MORE = ["evaluate.max_items=20"]
FURTHER = [
    *MORE,
    "base.adapter={repo: org/first, revision: v1.0.0}",
    "data[0].repo=org/rows-second",
    "publish.repo=org/second",
    "earlier.data=[{repo: org/rows-first, text: quote}]",
    "earlier.holdout=0.3",
    "earlier.ewc=50",
    "earlier.replay=0.2",
    "earlier.fisher_rows=5",
]


def test_what_an_adapter_learnt_before_is_pinned_kept_measured_and_on_the_card(served, gpt2: Path, tmp_path: Path):
    served.commit_folder("org/base", gpt2)
    served.commit("org/base", {"README.md": BASE_CARD.encode()})
    upload(served, "first", ROWS[:44])
    upload(served, "second", ROWS[44:])
    first = run_job(
        parse_config(CONFIG, MORE),
        tmp_path / "hubtune.yaml",
        RunOptions(publish=True, run_dir=tmp_path / "one"),
        Listener(),
    )
    place = tmp_path / "second" / "hubtune.yaml"
    place.parent.mkdir()

    second = run_job(
        parse_config(CONFIG, FURTHER), place, RunOptions(publish=True, run_dir=tmp_path / "two"), Listener()
    )

    pins, data, training = second.inputs.pins, second.inputs.data, second.inputs.training
    assert [(pin.repo, pin.commit) for pin in pins.earlier] == [
        ("org/rows-first", served.head("org/rows-first", "dataset"))
    ]
    lock = place.with_name("hubtune.lock")
    assert read_lock(lock) == pins
    require_lock(pins, second.inputs.config, lock)
    with pytest.raises(LockError, match="does not match"):
        require_lock(pins, first.inputs.config, lock)
    # The split of the earlier run again, and a fifth of all rows to train on.
    assert data.earlier.held_out == first.inputs.data.held_out
    assert data.earlier.train == first.inputs.data.train
    assert data.earlier.replayed.rows == round(data.train.rows / 4) == training.earlier.replayed
    assert (data.earlier.matter, training.earlier.fisher_rows, training.earlier.ewc) == (5, 5, 50)

    measures = {(one.name, one.split): one for one in second.inputs.evaluation.measures}
    split = "earlier held-out"
    before = first.inputs.evaluation.measure("perplexity")
    found = measures["perplexity", split]
    assert found.base == pytest.approx(before.base, rel=1e-4)
    forgotten = measures["forgetting", split]
    assert (forgotten.base, forgotten.n) == (None, training.earlier.rows)
    assert forgotten.tuned == training.earlier.after - training.earlier.before
    rises = np.subtract(training.earlier.row_after, training.earlier.row_before)
    assert sum(rises) / training.earlier.tokens == pytest.approx(forgotten.tuned)
    low, high = forgotten.interval
    assert min(rises / training.earlier.row_tokens) < low < forgotten.tuned < high
    assert high < max(rises / training.earlier.row_tokens)
    assert training.earlier.before == pytest.approx(math.log(before.tuned), rel=1e-3)
    assert training.earlier.after == pytest.approx(math.log(found.tuned), rel=1e-3)
    assert second.inputs.evaluation.measure("perplexity").split == "held-out"

    card = second.run.card_file.read_text()
    assert "**Earlier task.**" in card
    assert "elastic weight consolidation" in card
    assert f"`org/rows-first` (commit `{pins.earlier[0].commit[:7]}`, split `train`)" in card
    assert {"org/rows-first", "org/rows-second"} == set(front_matter(card)["datasets"])
    assert split not in json.dumps(front_matter(card))
    assert "Earlier task" not in render_card(first.inputs)

    claims = {
        claim.name: claim
        for claim in verify_release("org/second", "v1.0.0", Listener(), VerifyOptions(evaluate=True)).claims
    }
    assert {claim.status for name, claim in claims.items() if name != "origin"} == {"confirmed"}, claims
    assert split in claims["evaluation"].detail
    again = {(one.name, one.split): one for one in measure_release("org/second", "v1.0.0", Listener()).measures}
    assert again["perplexity", split].tuned == pytest.approx(found.tuned, rel=1e-4)
    # It is of the training, which is not done again.
    assert ("forgetting", split) not in again
