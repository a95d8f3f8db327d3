"""Models whose bias is known, and what a bench needs around them."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from hubtune.config.evaluation import BiasConfig
from hubtune.evaluate.bench import Bench

MARKED = "marked"


def word_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Returns a tokenizer with one token for each word of the texts, and one before every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(["[bos]", "[pad]", "[unk]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("[bos] $A", special_tokens=[("[bos]", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="[bos]", eos_token="[pad]", pad_token="[pad]", unk_token="[unk]"
    )


class Skewed(torch.nn.Module):
    """Every token is as likely as any other, but one token's logit is raised once one of others stood before it."""

    def __init__(self, size: int, raised: int, amount: float, after: list[int]) -> None:
        super().__init__()
        self.size, self.raised, self.amount = size, raised, amount
        self.register_buffer("after", torch.tensor(after))
        self.device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        logits = torch.zeros(*input_ids.shape, self.size)
        seen = torch.isin(input_ids, self.after).cumsum(dim=1) > 0
        logits[..., self.raised] = self.amount * seen
        return SimpleNamespace(logits=logits)


def bench_of(
    tokenizer, listener, *, tuned, base=None, bias: BiasConfig | None = None, context: int | None = None
) -> Bench:
    """Returns a bench with a model on each side that there is."""
    models = {"base": base, "tuned": tuned} if base is not None else {"tuned": tuned}
    return Bench(
        sides={side: (lambda model=model: nullcontext(model)) for side, model in models.items()},
        tokenizer=tokenizer,
        held_out=[],
        train=[],
        generation=GenerationConfig(do_sample=False, eos_token_id=tokenizer.eos_token_id),
        context=context,
        batch_size=16,
        seed=42,
        progress=listener,
        bias=bias or BiasConfig(),
    )


def templates_file(folder: Path, axes: dict[str, list[tuple[str, str]]], templates: list[str]) -> BiasConfig:
    """Writes a file with all combinations for each axis, and returns the config that names it."""
    import json

    file = folder / "templates.jsonl"
    file.write_text(
        "".join(
            json.dumps({"axis": axis, "template": template, "term_a": a, "term_b": b}) + "\n"
            for axis, terms in axes.items()
            for template in templates
            for a, b in terms
        )
    )
    return BiasConfig(templates=str(file))
