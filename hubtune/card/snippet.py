"""The usage example: Python that loads the base model and the adapter, both at the revisions of the release."""

import json
import string

from hubtune.card.inputs import CardInputs

_FALLBACK_PROMPT = "Once"
_MOST_NEW_TOKENS = 60


def usage_snippet(inputs: CardInputs) -> str:
    """Returns a Python program that loads the adapter and prints one completion, the same each time.

    Without a release target it loads the adapter from the folder `adapter`.
    """
    base, commit = _literal(inputs.pins.base.repo), _literal(inputs.pins.base.commit)
    lines = [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
    ]
    if inputs.target is None:
        lines += ['adapter = "adapter"', "", "tokenizer = AutoTokenizer.from_pretrained(adapter)"]
        load = "model = PeftModel.from_pretrained(base, adapter)"
    else:
        lines += [
            f"adapter = {_literal(inputs.target.repo)}",
            f"tag = {_literal(inputs.target.tag)}",
            "",
            "tokenizer = AutoTokenizer.from_pretrained(adapter, revision=tag)",
        ]
        load = "model = PeftModel.from_pretrained(base, adapter, revision=tag)"
    lines += [
        "base = AutoModelForCausalLM.from_pretrained(",
        f"    {base},",
        f"    revision={commit},",
        ")",
        load,
        "",
        f'inputs = tokenizer({_literal(example_prompt(inputs))}, return_tensors="pt")',
        "output = model.generate(",
        f"    **inputs, do_sample=False, max_new_tokens={_new_tokens(inputs)}, pad_token_id=tokenizer.eos_token_id",
        ")",
        "print(tokenizer.decode(output[0], skip_special_tokens=True))",
    ]
    return "\n".join(lines) + "\n"


def example_prompt(inputs: CardInputs) -> str:
    """Returns the prompt of the example: that of the first data set, or the text before its template's first field."""
    prompt = inputs.data.sources[0].prompt
    if prompt:
        return prompt
    leading = ""
    for literal, column, _, _ in string.Formatter().parse(inputs.data.sources[0].template):
        leading += literal
        if column is not None:
            break
    return leading.rstrip() or _FALLBACK_PROMPT


def _new_tokens(inputs: CardInputs) -> int:
    # Rows are never cut beyond what the base can read, so half of their limit leaves room for the prompt.
    return min(_MOST_NEW_TOKENS, inputs.data.max_length // 2)


def _literal(value: str) -> str:
    """Returns a Python string literal on one line, in double quotes, that shows what can be shown."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in quoted)
