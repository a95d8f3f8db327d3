"""Every usual way to load a published adapter by its tag, from an empty cache, gives the logits of its probe."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.worlds import TARGET

CONSUMER = """
import json, sys, torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

repo, tag, base, commit, prompts = sys.argv[1:]
prompts = json.loads(prompts)
peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, revision=commit), repo, revision=tag)
auto = AutoPeftModelForCausalLM.from_pretrained(repo, revision=tag)
tokenizer = AutoTokenizer.from_pretrained(repo, revision=tag)
said = {}
for name, model in {
    "PeftModel": peft,
    "AutoPeftModel": auto,
    "pipeline": pipeline("text-generation", model=peft, tokenizer=tokenizer).model,
}.items():
    with torch.no_grad():
        last = [model(torch.tensor([prompt["input_ids"]])).logits[0, -1].float() for prompt in prompts]
    said[name] = [row[prompt["likeliest"][0]].tolist() for row, prompt in zip(last, prompts)]
print(json.dumps(said))
"""


def test_each_way_to_load_an_adapter_by_its_tag_gives_the_probe_s_logits(released, tmp_path: Path):
    world = released.copy(tmp_path / "world")
    base, probe = world.record("pins.json")["base"], world.record("probe.json")
    with world.served() as api:
        # Whoever loads a branch instead of the pinned commits gets another model.
        api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=base["repo"])
        prompts = json.dumps(probe["prompts"])
        done = world.python(CONSUMER, TARGET, "v1.0.0", base["repo"], base["commit"], prompts, HF_ENDPOINT=api.endpoint)

    assert done.code == 0, done.err[-2000:]
    assert probe["difference"] > 10 * probe["tolerance"]
    said = json.loads(done.out.splitlines()[-1])
    assert set(said) == {"PeftModel", "AutoPeftModel", "pipeline"}
    for name, rows in said.items():
        for prompt, logits in zip(probe["prompts"], rows, strict=True):
            assert logits == pytest.approx(prompt["logits"][0], abs=probe["tolerance"]), name
