"""`hubtune generate` on a real release writes what a consumer's own program writes with the published files."""

import json

from hubtune.errors import ConfigError
from hubtune.models.precision import choose_precision
from tests.end_to_end.worlds import TARGET

PROMPT = "Quote by the baker:"
CONSUMER = """
import json, sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, pipeline

repo, base, commit, prompt, dtype = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(repo, revision="v1.0.0")
model = AutoModelForCausalLM.from_pretrained(base, revision=commit, dtype=dtype)
model = PeftModel.from_pretrained(model, repo, revision="v1.0.0")
before = model.generation_config.to_diff_dict()
model.generation_config = GenerationConfig.from_pretrained(repo, revision="v1.0.0")
written = model.generate(**tokenizer(prompt, return_tensors="pt"))[0]
by_name = pipeline("text-generation", model=repo)
print(json.dumps({
    "text": tokenizer.decode(written, skip_special_tokens=True),
    "before": before,
    "by_name": by_name.model.generation_config.to_diff_dict(),
    "adapters": list(by_name.model.peft_config),
}))
"""


def test_a_release_is_completed_from_its_published_files_as_a_consumer_does(finished):
    # Nothing that the release was made with is at hand.
    shown = finished.done(
        *("--json", "generate", f"{TARGET}@v1.0.0", PROMPT, "--hub", finished.hub), HF_HOME=str(finished.root / "fresh")
    )
    record = shown.document
    pin = finished.record("pins.json")["base"]
    assert (record["repo"], record["commit"]) == (TARGET, finished.record("release.json")["commit"])
    assert (record["base"], record["base_commit"]) == (pin["repo"], pin["commit"])
    assert finished.writes() == []

    dtype = {"fp32": "float32", "bf16": "bfloat16"}[choose_precision("auto")]
    with finished.served() as api:
        consumer = finished.python(
            CONSUMER, TARGET, pin["repo"], pin["commit"], PROMPT, dtype, HF_ENDPOINT=api.endpoint
        )
    assert consumer.code == 0, consumer.err
    found = json.loads(consumer.out.splitlines()[-1])
    assert found["text"] == PROMPT + record["completion"]
    assert record["tokens"] > 0
    # As the README says: until they are told, peft and the pipeline go by the base's settings.
    assert "max_new_tokens" not in {**found["before"], **found["by_name"]}
    assert found["adapters"] == ["default"]


def test_the_settings_are_files_of_the_training_and_of_the_manifest(finished):
    digest = finished.record("training.json")["files"]["generation_config.json"]
    assert finished.record("release.json")["files"]["generation_config.json"] == digest


def test_an_empty_prompt_is_refused_at_once(bare):
    shown = bare.hubtune("generate", f"{TARGET}@v1.0.0", "-")
    shown.refused(ConfigError, "prompt is empty")
