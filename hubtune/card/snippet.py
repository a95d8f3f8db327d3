"""The usage examples: code that loads the release, and the base model, at the revisions of the release."""

import json
import string

from hubtune.card.inputs import CardInputs

_FALLBACK_PROMPT = "Once"
_TO_CLASSIFY = "A text to classify."
_MOST_NEW_TOKENS = 60
_LONGEST_PROMPT = 400


def usage_snippet(inputs: CardInputs) -> str:
    """Returns a Python program that loads the release and prints a completion, which is the same each time.

    Of a classifier it prints the class, or the classes, of a text.

    Without a release target it loads the adapter from the folder `adapter`, or a whole model and the base's tokenizer
    next to it from the folder `model`.
    """
    target = inputs.target
    whole = inputs.training.whole or (target is not None and target.artifact == "merged")
    lines = _load_whole(inputs) if whole else _load_adapter(inputs)
    if inputs.data.labels is not None:
        return "\n".join([*lines, "", *_classifying(several=inputs.data.several_labels)]) + "\n"
    lines += [
        "",
        *_asking(inputs),
        "output = model.generate(",
        f"    **inputs, do_sample=False, max_new_tokens={_new_tokens(inputs)}, pad_token_id=tokenizer.eos_token_id",
        ")",
        "print(tokenizer.decode(output[0], skip_special_tokens=True))",
    ]
    return "\n".join(lines) + "\n"


def _asking(inputs: CardInputs) -> list[str]:
    """Returns the lines that make `inputs`: a chat model is asked by its chat template."""
    if not _is_chat(inputs):
        return [f'inputs = tokenizer({_literal(example_prompt(inputs))}, return_tensors="pt")']
    return [
        f"messages = {_messages(inputs)}",
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
        ")",
    ]


def _classifying(*, several: bool) -> list[str]:
    chosen = (
        "print([model.config.id2label[number] for number, logit in enumerate(logits) if logit > 0])"
        if several
        else "print(model.config.id2label[int(logits.argmax())])"
    )
    return [
        f'inputs = tokenizer({_literal(_TO_CLASSIFY)}, return_tensors="pt")',
        "logits = model.eval()(**inputs).logits[0]",
        chosen,
    ]


def _loader(inputs: CardInputs) -> str:
    return "AutoModelForCausalLM" if inputs.data.labels is None else "AutoModelForSequenceClassification"


def _is_chat(inputs: CardInputs) -> bool:
    return inputs.data.sources[0].format == "chat"


def _messages(inputs: CardInputs) -> str:
    return f'[{{"role": "user", "content": {_literal(example_prompt(inputs))}}}]'


def pipeline_snippet(inputs: CardInputs) -> str:
    """Returns Python for transformers' pipeline, to be added after `usage_snippet`."""
    if inputs.data.labels is not None:
        every = ", top_k=None" if inputs.data.several_labels else ""
        return "\n".join(
            [
                "from transformers import pipeline",
                "",
                'classify = pipeline("text-classification", model=model, tokenizer=tokenizer)',
                f"print(classify({_literal(_TO_CLASSIFY)}{every}))",
                "",
            ]
        )
    return "\n".join(
        [
            "from transformers import pipeline",
            "",
            'generate = pipeline("text-generation", model=model, tokenizer=tokenizer)',
            f"prompt = {_messages(inputs) if _is_chat(inputs) else _literal(example_prompt(inputs))}",
            f"found = generate(prompt, do_sample=False, max_new_tokens={_new_tokens(inputs)})",
            # Of a chat the pipeline gives all messages; the answer is the last.
            'print(found[0]["generated_text"]%s)' % ('[-1]["content"]' if _is_chat(inputs) else ""),
            "",
        ]
    )


def vllm_commands(inputs: CardInputs) -> str:
    """Returns the shell commands that serve a published release with vLLM."""
    target = inputs.target
    assert target is not None, "only a published release can be served"
    if target.artifact == "merged":
        return f"vllm serve {target.repo} --revision {target.tag} --tokenizer-revision {target.tag}"
    name = target.repo.rpartition("/")[2]
    base = inputs.pins.base
    code = f" --trust-remote-code --code-revision {base.commit}" if inputs.config.base.allow_remote_code else ""
    return (
        f"hf download {target.repo} --revision {target.tag} --local-dir {name}\n"
        f"vllm serve {base.repo} --revision {base.commit}{code} --tokenizer {name} \\\n"
        f"    --enable-lora --max-lora-rank {_vllm_rank(inputs)} --lora-modules {name}=./{name}"
    )


def _load_whole(inputs: CardInputs) -> list[str]:
    target, loader = inputs.target, _loader(inputs)
    lines = [f"from transformers import {', '.join(sorted([loader, 'AutoTokenizer']))}", ""]
    if target is None:
        return [
            *lines,
            'tokenizer = AutoTokenizer.from_pretrained("model")',
            f'model = {loader}.from_pretrained("model")',
        ]
    return [
        *lines,
        f"repo = {_literal(target.repo)}",
        f"tag = {_literal(target.tag)}",
        "",
        "tokenizer = AutoTokenizer.from_pretrained(repo, revision=tag)",
        f"model = {loader}.from_pretrained(repo, revision=tag)",
    ]


def _load_adapter(inputs: CardInputs) -> list[str]:
    target, loader = inputs.target, _loader(inputs)
    lines = ["from peft import PeftModel", f"from transformers import {loader}, AutoTokenizer", ""]
    if target is None:
        lines += ['adapter = "adapter"', ""]
    else:
        lines += [f"adapter = {_literal(target.repo)}", f"tag = {_literal(target.tag)}", ""]
    revision = "" if target is None else ", revision=tag"
    return [
        *lines,
        f"tokenizer = AutoTokenizer.from_pretrained(adapter{revision})",
        f"base = {loader}.from_pretrained(",
        f"    {_literal(inputs.pins.base.repo)},",
        f"    revision={_literal(inputs.pins.base.commit)},",
        *(["    trust_remote_code=True,"] if inputs.config.base.allow_remote_code else []),
        *_head(inputs),
        ")",
        *(["base.resize_token_embeddings(len(tokenizer), mean_resizing=False)"] if _has_new_rows(inputs) else []),
        f"model = PeftModel.from_pretrained(base, adapter{revision})",
    ]


def _has_new_rows(inputs: CardInputs) -> bool:
    return inputs.training.vocabulary is not None


def _head(inputs: CardInputs) -> list[str]:
    """Returns the arguments that give the base the head of a classifier, which its adapter then fills."""
    if inputs.data.labels is None:
        return []
    names = [_literal(name) for name in inputs.data.labels]
    return [
        f"    num_labels={len(names)},",
        f"    id2label={{{', '.join(f'{number}: {name}' for number, name in enumerate(names))}}},",
        f"    label2id={{{', '.join(f'{name}: {number}' for number, name in enumerate(names))}}},",
        "    pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,",
    ]


def _vllm_rank(inputs: CardInputs) -> int:
    # vLLM takes these ranks alone as the largest.
    ranks = (8, 16, 32, 64, 128, 256, 320, 512)
    return next((rank for rank in ranks if rank >= inputs.config.train.lora.r), inputs.config.train.lora.r)


def example_prompt(inputs: CardInputs) -> str:
    """Returns the prompt of the example: that of the first dataset, or the text before its template's first field."""
    prompt = inputs.data.sources[0].prompt
    if prompt:
        return prompt[:_LONGEST_PROMPT]
    leading = ""
    for literal, column, _, _ in string.Formatter().parse(inputs.data.sources[0].template or ""):
        leading += literal
        if column is not None:
            break
    return leading.rstrip()[:_LONGEST_PROMPT] or _FALLBACK_PROMPT


def _new_tokens(inputs: CardInputs) -> int:
    # Rows are never cut beyond what the base can read, so half of their limit leaves room for the prompt.
    return min(_MOST_NEW_TOKENS, inputs.data.max_length // 2)


def _literal(value: str) -> str:
    """Returns a Python string literal on one line, in double quotes, that shows what can be shown."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in quoted)
