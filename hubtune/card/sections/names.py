"""The names that readers know, for the short ones that config and records use, and what each measure says."""

_METHODS = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning", "freeze": "fine-tuning of some layers"}
_PRECISIONS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_MEASURES = {"bleu": "BLEU", "chrf": "chrF", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}

QUALITY, BIAS, PRIVACY = "quality", "bias", "privacy"
_MEANINGS = {
    "perplexity": "how unexpected the text is to the model; lower is better, and a model that foresees all has 1",
    "counterfactual_gap": "how much likelier a sentence is with one group's term than with another's; 0 is even-handed",
    "pair_preference": "how often the stereotyped one of two sentences is the likelier; 50 % is even-handed",
    "word_list_hits": "how many generated texts hold a word of a list; lower is better",
    "memorisation": "how many training rows the model completes word for word; lower is better",
    "canary_exposure": "how well planted secrets can be told from others; about 1.44 bits is chance",
    "personal_data": "how many texts hold what looks like personal data; lower is better",
    "contamination": "how many held-out rows stand in the training rows too; lower is better",
}


def method_name(method: str) -> str:
    """Returns a training method as papers write it."""
    return _METHODS.get(method, method)


def precision_name(precision: str) -> str:
    """Returns a number format as PyTorch writes it."""
    return _PRECISIONS.get(precision, precision)


def measure_name(name: str) -> str:
    """Returns a measure's name as a reader knows it; words for a name that is not listed."""
    spaced = name.replace("_", " ")
    return _MEASURES.get(name, spaced[:1].upper() + spaced[1:])


def measure_meaning(name: str) -> str | None:
    """Returns what a value of the measure says, in words; None for a measure that is not listed."""
    return _MEANINGS.get(name)
