"""`hubtune merge` makes one model of a published adapter and its base."""

import json
import re

import pytest

from hubtune.errors import ConfigError, DiskFullError, MergeError, RecordError
from tests.end_to_end.worlds import TARGET, digests
from tests.models.merge_cases import make_adapter, make_base, merge

LOADED = """
import sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM
ids = torch.tensor([[5, 17, 300, 9]])
with torch.inference_mode():
    merged = AutoModelForCausalLM.from_pretrained(sys.argv[1], use_safetensors=True)(ids).logits
    adapter = AutoPeftModelForCausalLM.from_pretrained(sys.argv[2], revision=sys.argv[3])(ids).logits
print((merged - adapter).abs().max().item())
"""


def test_a_release_is_merged_into_the_base_it_was_trained_on_though_that_has_moved_on(finished):
    pins = finished.record("pins.json")
    with finished.served() as api:
        moved = api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="lab/gpt2").oid
    finished.forget_requests()

    shown = finished.done("--json", "merge", f"{TARGET}@v1.0.0", "whole", "--hub", finished.hub, HF_HUB_CACHE="fresh")

    record, model = shown.document, finished.work / "whole"
    release = finished.record("release.json")
    assert record["base"] == {"repo": "lab/gpt2", "commit": pins["base"]["commit"]}
    assert record["adapter"] == {"repo": TARGET, "commit": release["commit"]}
    assert record["files"] == digests(model)
    assert record["fidelity"]["max_difference"] < 1e-3 < record["fidelity"]["base_max_difference"]
    asked = {(line["repo"], line["revision"]) for line in finished.requests() if line["revision"]}
    assert ("lab/gpt2", moved) not in asked
    assert {revision for repo, revision in asked if repo == TARGET} == {"v1.0.0", release["commit"]}
    assert {revision for repo, revision in asked if repo == "lab/gpt2"} == {pins["base"]["commit"]}
    with finished.served() as api:
        difference = finished.python(LOADED, str(model), TARGET, "v1.0.0", HF_ENDPOINT=api.endpoint)
    assert float(difference.out) < 1e-4, difference.err


def test_what_cannot_be_merged_is_refused_in_one_message_and_leaves_nothing(finished):
    world = finished
    (world.work / "taken").mkdir()
    (world.work / "taken/notes.txt").write_text("mine")

    world.hubtune("merge", f"{TARGET}@v1.0.0", "taken", "--hub", world.hub).refused(RecordError, "taken")
    world.hubtune("merge", "lab/gpt2@main", "whole", "--hub", world.hub).refused(MergeError, "adapter_config.json")

    without = world.hubtune("merge", TARGET, "whole")
    assert without.code == ConfigError.exit_code
    assert "REPO@TAG" in without.err
    assert [path.name for path in world.work.iterdir() if re.search("whole", path.name)] == []
    assert json.dumps(digests(world.work / "taken")).count("notes") == 1


def test_too_little_room_is_found_before_anything_is_written(tiny_disk, tmp_path):
    base = make_base("llama", tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    disk = tiny_disk("100k")

    with pytest.raises(DiskFullError, match="has room for"):
        merge(base, adapter, disk / "out")
    assert list(disk.iterdir()) == []
