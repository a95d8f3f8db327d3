"""transformers: pushing a model and its tokenizer, loading them by tag, and a pipeline."""

import sys

from huggingface_hub import create_tag, list_repo_files, model_info
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline

REPO = "org/tiny"

model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model.push_to_hub(REPO, commit_message="Model")
tokenizer.push_to_hub(REPO)
assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(list_repo_files(REPO))
assert model_info(REPO, files_metadata=True).siblings
create_tag(REPO, tag="v1")
assert AutoConfig.from_pretrained(REPO).vocab_size == model.config.vocab_size
loaded = AutoModelForCausalLM.from_pretrained(REPO, revision="v1")
assert all((a == b).all() for a, b in zip(loaded.parameters(), model.parameters(), strict=True))
texts = [
    pipeline("text-generation", model=REPO, revision="v1")("The light", max_new_tokens=4, do_sample=False),
    pipeline("text-generation", model=model, tokenizer=tokenizer)("The light", max_new_tokens=4, do_sample=False),
]
assert texts[0] == texts[1]
proposed = model.push_to_hub(REPO, create_pr=True, commit_message="Again", max_shard_size="20KB")
print("done")
