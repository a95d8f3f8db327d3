"""An adapter that holds modules whole verifies and generates; one whose tensors fit nothing is refused by all."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from safetensors.torch import load, save

from hubtune.config.load import parse_config
from hubtune.errors import ModelError
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.evaluate_release import measure_release
from hubtune.pipeline.generate import Prompt, generate
from hubtune.pipeline.merge import merge_published
from hubtune.pipeline.run import run_job
from hubtune.verify.claims import verify_release
from tests.end_to_end.test_continued import CONFIG
from tests.end_to_end.test_formats import ROWS, upload
from tests.end_to_end.worlds import BASE_CARD
from tests.listener import Listener

WEIGHTS = "adapter_model.safetensors"


def _publish(served, base: Path, folder: Path, *overrides: str) -> None:
    served.commit_folder("org/base", base)
    served.commit("org/base", {"README.md": BASE_CARD.encode()})
    upload(served, "first", ROWS[:12])
    run_job(
        parse_config(CONFIG, overrides),
        folder / "hubtune.yaml",
        RunOptions(publish=True, run_dir=folder / "run"),
        Listener(),
    )


def test_a_release_with_new_tokens_and_both_ends_whole_is_verified_and_generates(served, gpt2: Path, tmp_path: Path):
    _publish(served, gpt2, tmp_path, "train.added_tokens=[x1]", "train.lora.modules_to_save=[wte, lm_head]")

    claims = {claim.name: claim.status for claim in verify_release("org/first", "v1.0.0", Listener()).claims}

    assert (claims["model"], claims["probe"]) == ("confirmed", "confirmed")
    assert "contradicted" not in claims.values()
    assert generate("org/first", "v1.0.0", Prompt("The baker", max_new_tokens=3), Listener()).tokens > 0


def test_an_adapter_that_fits_nothing_is_refused_by_every_command(served, gpt2: Path, tmp_path: Path):
    _publish(served, gpt2, tmp_path)
    weights = load((tmp_path / "run" / "adapter" / WEIGHTS).read_bytes())
    spoilt = save({name.replace("transformer", "decoder"): value for name, value in weights.items()}, {"format": "pt"})
    commit = served.api.create_commit(
        "org/first", [CommitOperationAdd(WEIGHTS, spoilt)], commit_message="Spoil", revision="main"
    ).oid
    further = [f"base.adapter={{repo: org/first, revision: {commit}}}", "publish.repo=org/second"]

    for use in (
        lambda: generate("org/first", commit, Prompt("The baker"), Listener()),
        lambda: measure_release("org/first", commit, Listener()),
        lambda: run_job(
            parse_config(CONFIG, further), tmp_path / "hubtune.yaml", RunOptions(run_dir=tmp_path / "two"), Listener()
        ),
    ):
        with pytest.raises(ModelError, match=rf"The adapter org/first@{commit} holds .*decoder.* fits no module"):
            use()
    with pytest.raises(ModelError, match=f"Merging org/first@{commit}: .* which the base model does not have"):
        merge_published("org/first", commit, tmp_path / "merged", Listener())
    claims = {claim.name: claim for claim in verify_release("org/first", commit, Listener()).claims}
    assert claims["model"].status != "confirmed"
