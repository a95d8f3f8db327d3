"""A release of a model whose own weights were trained: published whole, loaded by its tag, and verified."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.test_merged_release import CONSUMER
from tests.end_to_end.worlds import TARGET, World


@pytest.fixture(scope="module")
def world(once, seeded) -> World:
    """A world with a release whose last block was trained."""

    def make(folder: Path) -> None:
        world = seeded.copy(folder)
        world.config(train__method="freeze", train__last_blocks=1, train__learning_rate=0.01)
        world.done("--json", "run", "--push", TARGET, "--hub", world.hub, "--run-dir", "run")

    return World(once("whole", make))


def test_it_loads_by_its_tag_alone_with_the_probe_s_logits(world, tmp_path):
    copy = world.copy(tmp_path / "consumer")
    probe = copy.record("probe.json")
    with copy.served() as api:
        done = copy.python(CONSUMER, TARGET, "v1.0.0", json.dumps(probe["prompts"]), HF_ENDPOINT=api.endpoint)
    assert done.code == 0, done.err[-2000:]
    for said in json.loads(done.out.splitlines()[-1]).values():
        for prompt, logits in zip(probe["prompts"], said, strict=True):
            assert logits == pytest.approx(prompt["logits"][0], abs=probe["tolerance"])
    assert probe["difference"] > 0.1


def test_verifying_confirms_it_and_the_card_says_what_was_trained(world, tmp_path):
    copy = world.copy(tmp_path / "verifier")

    found = copy.done("--json", "verify", f"{TARGET}@v1.0.0", "--hub", copy.hub).document

    states = {claim["name"]: claim["status"] for claim in found["claims"]}
    assert "contradicted" not in states.values(), found
    assert [states[name] for name in ("records", "card", "model", "probe")] == ["confirmed"] * 4
    card = (copy.run_dir / "README.md").read_text()
    assert "fine-tuning of some layers" in card
    assert "PeftModel" not in card
    assert "adapter" not in card.partition("## Evaluation")[0].lower()
