"""Loads a published release as its users do, from its files and its base model only; and the probe of a model.

The probe continues fixed prompts. A replay feeds the stored tokens to another model instead of generating again. So a
tiny difference between two processors at one token does not make all later tokens incomparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.errors import ModelError
from hubtune.models.adapters import load_adapter
from hubtune.models.added_tokens import enlarge_for
from hubtune.models.base_facts import read_facts
from hubtune.models.classifier import Classes, class_logits, classifies, load_classifier
from hubtune.models.config_files import generation_config
from hubtune.models.generation import safe_generation_config
from hubtune.models.pretrained import check_vocabulary, load_base, load_tokenizer, pad_id
from hubtune.records.release import ADAPTER_CONFIG, GENERATION_CONFIG, MODEL_CONFIG
from hubtune.records.results import ProbePrompt

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_release(
    release_folder: Path,
    base_folder: Path | None,
    precision: str,
    name: str,
    labels: tuple[Sequence[str], bool] | None = None,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Loads a release's model and its tokenizer.

    Args:
        release_folder: The release's snapshot: an adapter or a whole model, with its tokenizer.
        base_folder: The snapshot of the base that an adapter needs; None if the release is a whole model.
        precision: What the weights of the base, or of the whole model, are held in.
        name: The release, as REPO@COMMIT, for messages.
        labels: Of a classifier, the names of its classes and whether a text may be of several.

    Returns:
        The model, with its adapter if it has one and with the release's generation settings; and the tokenizer.

    Raises:
        ModelError: A part is missing or damaged, or they do not fit each other.
    """
    tokenizer = load_tokenizer(release_folder, name)
    if labels is not None:
        classes = Classes(tuple(labels[0]), labels[1], pad_id(tokenizer))
        weights = _Weights(release_folder, base_folder, precision, name)
        return _load_classifier(weights, classes, tokenizer), tokenizer
    return load_release_model(release_folder, base_folder, precision, name, tokenizer), tokenizer


def load_release_model(
    release_folder: Path,
    base_folder: Path | None,
    precision: str,
    name: str,
    tokenizer: "PreTrainedTokenizerBase",
) -> "PreTrainedModel":
    """Loads only the model, for `tokenizer`, which is the release's; see `load_release`."""
    _refuse_classifier(release_folder, name)
    weights = base_folder or release_folder
    model = load_base(weights, name if base_folder is None else f"the base model of {name}", precision)
    if base_folder is not None:
        enlarge_for(model, tokenizer, release_folder, name)
    check_vocabulary(model, tokenizer, name)
    if base_folder is not None:
        model = load_adapter(model, release_folder, name)
    model.generation_config = _generation_config(release_folder, weights, tokenizer, name)
    return model.eval()


def _refuse_classifier(folder: Path, name: str) -> None:
    for file, key in ((ADAPTER_CONFIG, "task_type"), (MODEL_CONFIG, "architectures")):
        stated = str(read_facts((folder / file).read_bytes(), name).get(key)) if (folder / file).is_file() else ""
        if "SEQ_CLS" in stated or "ForSequenceClassification" in stated:
            raise ModelError(
                f"{name} is a classifier and generates no text.",
                hint="Its card has a program that loads it; `hubtune verify` checks it.",
            )


@dataclass(frozen=True)
class _Weights:
    """Where a release's weights lie; the attributes are the arguments of `load_release`."""

    release: Path
    base: Path | None
    precision: str
    name: str


def _load_classifier(weights: _Weights, classes: Classes, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    release, name = weights.release, weights.name
    if weights.base is None:
        return load_classifier(release, name, weights.precision, classes)[0].eval()
    base, _ = load_classifier(weights.base, f"the base model of {name}", weights.precision, classes)
    enlarge_for(base, tokenizer, release, name)
    return load_adapter(base, release, name).eval()


def _generation_config(
    release_folder: Path, weights: Path, tokenizer: "PreTrainedTokenizerBase", name: str
) -> "GenerationConfig":
    if not (release_folder / GENERATION_CONFIG).is_file():
        return safe_generation_config(weights, tokenizer, name)
    return generation_config(release_folder, name)


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
    """Returns the token ids of each prompt, with the special tokens that the tokenizer adds before a text."""
    return [list(ids) for ids in tokenizer(list(PROMPTS))["input_ids"]]


@dataclass(frozen=True)
class Replay:
    """How close a model comes to a probe.

    Attributes:
        difference: The largest difference to a stored logit.
        shortfall: How far, at most, a stored token is from being the most likely.
    """

    difference: float
    shortfall: float


def take_probe(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", context: int | None = None
) -> list[ProbePrompt]:
    """Returns the model's continuation of each fixed prompt or, for a classifier, its logits.

    Args:
        model: The model, on any device.
        tokenizer: Its tokenizer; the prompts are encoded as the training's texts are, with a BOS if it adds one.
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
    """Returns the logits of all classes, the most likely first, as one step's."""
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
    """Returns the ids of a prompt, truncated at its start if it is too long for the model."""
    input_ids: list[int] = tokenizer(text)["input_ids"]
    return input_ids if context is None else input_ids[-max(1, context - STEPS) :]
