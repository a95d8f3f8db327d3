"""A release of merged weights: the whole model, compared with what was trained, and nothing else needed to load it."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.worlds import TARGET, World

CONSUMER = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

repo, tag, prompts = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(repo, revision=tag)
models = {
    "auto": AutoModelForCausalLM.from_pretrained(repo, revision=tag, dtype=torch.float32),
    "pipeline": pipeline("text-generation", model=repo, revision=tag, dtype=torch.float32, device="cpu").model,
}
asked = json.loads(prompts)
said = {}
for name, model in models.items():
    with torch.no_grad():
        last = [model(torch.tensor([prompt["input_ids"]])).logits[0, -1] for prompt in asked]
        said[name] = [row[prompt["likeliest"][0]].tolist() for row, prompt in zip(last, asked)]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def world(once, seeded) -> World:
    """A world with a release of merged weights."""

    def make(folder: Path) -> None:
        world = seeded.copy(folder)
        world.config(publish__artifact="merged", publish__counterpart="lab/quotes-adapter")
        world.done("--json", "run", "--push", TARGET, "--hub", world.hub, "--run-dir", "run")

    return World(once("merged", make))


@pytest.fixture(scope="module")
def snapshot(world, tmp_path_factory) -> Path:
    copy = world.copy(tmp_path_factory.mktemp("reader"))
    with copy.served() as api:
        return Path(api.snapshot_download(TARGET, revision="v1.0.0", cache_dir=copy.root / "cache"))


def test_the_repository_holds_the_model_and_no_adapter(snapshot):
    names = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}

    assert {"config.json", "model.safetensors", "generation_config.json", "records/merge.json"} <= names
    assert not [name for name in names if "adapter" in name or name.endswith(".bin")]


def test_the_manifest_the_card_and_the_records_agree_on_what_it_is(snapshot):
    manifest = json.loads((snapshot / "hubtune.json").read_text())
    merge = json.loads((snapshot / "records" / "merge.json").read_text())
    card = (snapshot / "README.md").read_text()

    assert manifest["artifact"] == "merged"
    assert manifest["files"]["model.safetensors"] == merge["files"]["model.safetensors"]
    assert merge["fidelity"]["max_difference"] < merge["fidelity"]["base_max_difference"] / 10
    assert "| Adapter only | `lab/quotes-adapter` |" in card
    assert "**Merging.**" in card
    assert "PeftModel" not in card


def test_a_consumer_needs_the_tag_alone_and_gets_the_probe_s_logits(world, snapshot, tmp_path):
    probe = json.loads((snapshot / "records" / "probe.json").read_text())
    copy = world.copy(tmp_path / "consumer")
    with copy.served() as api:
        done = copy.python(CONSUMER, TARGET, "v1.0.0", json.dumps(probe["prompts"]), HF_ENDPOINT=api.endpoint)
    assert done.code == 0, done.err[-2000:]
    for said in json.loads(done.out.splitlines()[-1]).values():
        for prompt, logits in zip(probe["prompts"], said, strict=True):
            assert logits == pytest.approx(prompt["logits"][0], abs=probe["tolerance"])


def test_the_counterpart_is_published_to_the_other_repository_and_leaves_the_run_as_it_was(world, tmp_path):
    copy = world.copy(tmp_path / "both")
    before = {name: (copy.run_dir / name).read_bytes() for name in ("config.yaml", "README.md", "release.json")}

    record = copy.done("--json", "publish", "run", "--counterpart", "--hub", copy.hub).document

    assert (record["repo"], record["artifact"]) == ("lab/quotes-adapter", "adapter")
    assert {name: (copy.run_dir / name).read_bytes() for name in before} == before
    with copy.served() as api:
        card = Path(api.hf_hub_download("lab/quotes-adapter", "README.md", cache_dir=tmp_path / "cache")).read_text()
        files = api.list_repo_files("lab/quotes-adapter", revision="v1.0.0")
    assert f"| Merged weights | `{TARGET}` |" in card
    assert "adapter_model.safetensors" in files
    assert "model.safetensors" not in files
