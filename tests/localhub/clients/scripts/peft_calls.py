"""peft: pushing an adapter, and loading it by tag onto its base model, all from the Hub."""

import sys

from huggingface_hub import create_tag
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE, ADAPTER = "org/base", "org/adapter"

AutoModelForCausalLM.from_pretrained(sys.argv[1]).push_to_hub(BASE)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.push_to_hub(BASE)
base = AutoModelForCausalLM.from_pretrained(BASE)
adapter = get_peft_model(base, LoraConfig(r=2, task_type="CAUSAL_LM", init_lora_weights=False))
ids = tokenizer("The light", return_tensors="pt")
expected = adapter(**ids).logits
adapter.push_to_hub(ADAPTER, commit_message="Adapter")
create_tag(ADAPTER, tag="v1")
assert PeftConfig.from_pretrained(ADAPTER).base_model_name_or_path == BASE
loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE), ADAPTER, revision="v1")
assert (loaded(**ids).logits == expected).all()
again = AutoPeftModelForCausalLM.from_pretrained(ADAPTER)
assert (again(**ids).logits == expected).all()
print("done")
