"""The probe: a model continues fixed prompts, and a replay finds out whether another model gives the same.

A replay feeds the stored tokens instead of generating again, so one token that two processors rank differently by a
hair does not make all later ones incomparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.models.classifier import class_logits, classifies
from hubtune.records.evaluation import ProbePrompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


PROMPTS = (
    "The morning train leaves the station at",
    "To bake a loaf of bread, first mix the flour with",
    "The library opens its doors when",
    "Water boils at a lower temperature in the mountains, because",
    "She looked at the map and said that the shortest way",
    "A good garden needs sun, rain and",
    "The meeting was moved to Thursday, so we",
    "In the year after the bridge was built, the two towns",
)
STEPS = 8
"""Tokens that a model goes on for after each prompt."""
LIKELIEST = 16
"""Logits that are stored for each of them."""
TOLERANCES = {"fp64": 1e-2, "fp32": 1e-2, "fp16": 0.1, "bf16": 0.5}
"""How far logits may be apart, by precision. Between processors, kernels and batch shapes they were seen to differ by
about 1e-4 in fp32 and, with eight bits of mantissa and logits around 20, by 0.1 to 0.3 in bf16."""


def encode_prompts(tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Returns the token ids of each prompt, with the special tokens that the tokenizer puts before a text."""
    return [list(ids) for ids in tokenizer(list(PROMPTS))["input_ids"]]


@dataclass(frozen=True)
class Replay:
    """How close a model comes to a probe.

    Attributes:
        difference: The largest difference to a stored logit.
        shortfall: How far, at most, a stored token is from being the likeliest.
    """

    difference: float
    shortfall: float


def take_probe(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", context: int | None = None
) -> list[ProbePrompt]:
    """Returns what the model says to each of the fixed prompts: how it goes on, or of a classifier, its logits.

    Args:
        model: The model, on any device.
        tokenizer: Its tokenizer; the prompts are encoded as the training's texts are, with a BOS where it puts one.
        context: The most tokens that the model can read; longer prompts are cut at their front.
    """
    answer = _classify if classifies(model) else _continue
    return [answer(model, text, encode_prompt(tokenizer, text, context)) for text in PROMPTS]


def replay(model: "PreTrainedModel", prompts: Sequence[ProbePrompt]) -> Replay:
    """Feeds the stored tokens to a model and compares its logits with the stored ones.

    Raises:
        ModelError: A stored id is not in the model's vocabulary: it is another model.
    """
    difference, shortfall = 0.0, 0.0
    classes = model.config.num_labels if classifies(model) else None
    vocabulary = model.get_input_embeddings().weight.shape[0]
    largest = max(max(*prompt.input_ids, *prompt.tokens, *map(max, prompt.likeliest)) for prompt in prompts)
    if largest >= vocabulary:
        raise ModelError(f"The probe has the token {largest}, and the model's vocabulary ends at {vocabulary - 1}.")
    if classes is not None and any(sorted(prompt.likeliest[0]) != list(range(classes)) for prompt in prompts):
        raise ModelError(f"The probe has other classes than the model's {classes}.")
    for prompt in prompts:
        if classes is None:
            logits = _logits(model, [*prompt.input_ids, *prompt.tokens[:-1]])[len(prompt.input_ids) - 1 :]
        else:
            logits = class_logits(model, prompt.input_ids)[None]
        for row, token, ids, stored in zip(logits, prompt.tokens, prompt.likeliest, prompt.logits, strict=True):
            apart = (row[ids] - row.new_tensor(stored)).abs().max()
            # A NaN has to come out as the largest difference of all, which `max` would not see to.
            difference = max(difference, float(apart.nan_to_num(float("inf"))))
            shortfall = max(shortfall, float(row.max() - row[token]))
    return Replay(difference, shortfall)


def _classify(model: "PreTrainedModel", text: str, input_ids: list[int]) -> ProbePrompt:
    """Returns the logits of all classes, the likeliest first, as one step's."""
    ordered = class_logits(model, input_ids).sort(descending=True, stable=True)
    ids, logits = ordered.indices.tolist(), [round(value, 5) for value in ordered.values.tolist()]
    return ProbePrompt(text=text, input_ids=input_ids, tokens=ids[:1], likeliest=[ids], logits=[logits])


def _continue(model: "PreTrainedModel", text: str, input_ids: list[int]) -> ProbePrompt:
    tokens: list[int] = []
    likeliest, logits = [], []
    for _ in range(STEPS):
        top = _logits(model, [*input_ids, *tokens])[-1].topk(LIKELIEST)
        likeliest.append(top.indices.tolist())
        logits.append([round(value, 5) for value in top.values.tolist()])
        tokens.append(likeliest[-1][0])
    return ProbePrompt(text=text, input_ids=input_ids, tokens=tokens, likeliest=likeliest, logits=logits)


def _logits(model: "PreTrainedModel", input_ids: list[int]) -> "torch.Tensor":
    import torch

    model.eval()
    with torch.inference_mode():
        answer = model(input_ids=torch.tensor([input_ids], device=model.device), use_cache=False)
    return answer.logits[0].float().cpu()


def encode_prompt(tokenizer: "PreTrainedTokenizerBase", text: str, context: int | None) -> list[int]:
    """Returns the ids of a prompt, cut at its front where the model could not continue all of it."""
    input_ids: list[int] = tokenizer(text)["input_ids"]
    return input_ids if context is None else input_ids[-max(1, context - STEPS) :]
