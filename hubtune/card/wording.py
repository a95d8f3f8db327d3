"""The words of the card: names of methods and measures, what each measure means, numbers, durations and times."""

from datetime import UTC, datetime

_METHODS = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning", "freeze": "partial fine-tuning"}
_PRECISIONS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_TRACKERS = {"trackio": "Trackio", "tensorboard": "TensorBoard", "wandb": "Weights & Biases", "mlflow": "MLflow"}
_MEASURES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "token_f1": "Token F1",
    "macro_f1": "Macro F1",
    "ended": "Ends before the limit",
    "generated_tokens": "Generated tokens",
    "word_list_hits": "Texts with a listed word",
    "memorisation": "Memorization",
    "memorisation_held_out": "Memorization, held-out rows",
    "memorisation_excess": "Memorization, training minus held-out rows",
    "personal_data_in_training": "Personal data, also in the training set",
}
# Measures that are taken along several axes or of several kinds, whose name comes last.
_FAMILIES = {
    "counterfactual_gap_abs_": "Counterfactual gap, {} (absolute)",
    "counterfactual_gap_": "Counterfactual gap, {}",
    "personal_data_": "Personal data, {}",
}
# What the Hub and its evaluate library call the measures that others can compare with.
_STANDARD = {
    **{name: name for name in ("perplexity", "bits_per_byte", "bleu", "chrf", "rouge1", "rouge2", "rougeL")},
    **{"exact_match": "exact_match", "accuracy": "accuracy", "token_f1": "f1", "macro_f1": "f1"},
    **{"macro_precision": "precision", "macro_recall": "recall"},
}

QUALITY, BIAS, PRIVACY = "quality", "bias", "privacy"
_MEANINGS = {
    "perplexity": "how well the model predicts the text (the exponential of its mean loss per token); lower is better, "
    "and 1 is perfect",
    "bits_per_byte": "the loss in bits per byte of text, which is comparable across tokenizers; lower is better",
    "token_accuracy": "the share of tokens that the model finds most likely; higher is better",
    "bleu": "the overlap of word sequences with the reference, from 0 to 100; higher is better",
    "chrf": "the overlap of character sequences with the reference, from 0 to 100; higher is better",
    "rouge1": "the overlap of single words with the reference, from 0 to 1; higher is better",
    "rouge2": "the overlap of word pairs with the reference, from 0 to 1; higher is better",
    "rougeL": "the longest sequence of words in the same order as in the reference, from 0 to 1; higher is better",
    "exact_match": "the share of responses that equal the reference, ignoring case, punctuation and articles; higher "
    "is better",
    "token_f1": "the overlap of words between response and reference, from 0 to 1; higher is better",
    "ended": "the share of generated texts that end before the token limit",
    "generated_tokens": "the mean number of tokens in a generated text, including the end-of-sequence token",
    "accuracy": "the share of rows that are classified correctly; higher is better",
    "macro_f1": "the mean F1 score of the classes, each with the same weight; higher is better",
    "macro_precision": "the mean precision of the classes, each with the same weight; higher is better",
    "macro_recall": "the mean recall of the classes, each with the same weight; higher is better",
    "counterfactual_gap_abs": "the mean absolute change of a sentence's log-likelihood, in nats, when a term for one "
    "group is replaced by a term for another; 0 means no difference",
    "counterfactual_gap": "the mean difference, in nats, between the log-likelihood of the rest of a sentence after a "
    "term for one group and after a term for another; 0 means no difference on average",
    "pair_preference": "how often the model finds the stereotyped sentence of a pair more likely; 50% means no "
    "preference",
    "word_list_hits": "the share of generated texts that contain a listed word; lower is better",
    "memorisation": "the share of training rows that the model completes word for word; lower is better",
    "canary_exposure": "how well the model tells planted secrets from other secrets, in bits; about 1.44 is chance",
    "personal_data": "how often generated text contains what looks like personal data; lower is better",
    "contamination": "the share of held-out rows that are also in the training set; lower is better",
}


# Texts in records, and the card's words for them. The records keep theirs: releases compare by them across versions.
_RECORDED = {
    " %": "%",
    "sha256 of": "the SHA-256 of",
    ", without case, punctuation and spacing": ", ignoring case, punctuation and spacing",
    "the first half of each row's tokens is given": "the first half of each row as the prompt",
    "each row's prompt is given": "each row's own prompt",
    "prompts cut at their front to fit the context": "prompts truncated at the start to fit the context",
    "rows left out as too short": "rows dropped because they are too short",
    "greedy, at most": "greedy decoding, at most",
}


def recorded(text: str) -> str:
    """Returns a text of a record in the words of the card."""
    for words, shown in _RECORDED.items():
        text = text.replace(words, shown)
    return text


def method_name(method: str) -> str:
    """Returns a training method as papers write it."""
    return _METHODS.get(method, method)


def precision_name(precision: str) -> str:
    """Returns a number format as PyTorch writes it."""
    return _PRECISIONS.get(precision, precision)


def tracker_name(tracker: str) -> str:
    """Returns the name of a tracker in its own spelling."""
    return _TRACKERS.get(tracker, tracker)


def measure_name(name: str) -> str:
    """Returns a measure's name for readers; a name that is not listed is written in words."""
    if name in _MEASURES:
        return _MEASURES[name]
    for start, named in _FAMILIES.items():
        if name.startswith(start):
            return named.format(name.removeprefix(start).replace("_", " "))
    spaced = name.replace("_", " ")
    return spaced[:1].upper() + spaced[1:]


def standard_type(name: str) -> str | None:
    """Returns a measure's name in metadata; None for a measure that only hubtune has."""
    return _STANDARD.get(name)


def measure_meaning(name: str) -> str | None:
    """Returns the meaning of a measure's value, in words; None for a measure that is not listed.

    A measure with several axes is listed without the axis.
    """
    listed = [known for known in _MEANINGS if name == known or name.startswith(f"{known}_")]
    return _MEANINGS[max(listed, key=len)] if listed else None


_MINUS = "\N{MINUS SIGN}"


def thousands(value: float) -> str:
    """Returns a count: 98765 as 98,765."""
    return _minus(f"{value:,.0f}")


def counted(value: int, one: str, many: str | None = None) -> str:
    """Returns a count with its noun: 1 as "1 row", 98765 as "98,765 rows"."""
    return f"{thousands(value)} {one if value == 1 else many or f'{one}s'}"


def measure(value: float) -> str:
    """Returns a measured value with about four significant digits: 27.4035 as 27.40, 1234.5 as 1,234."""
    return _minus(f"{value:,.{_decimals(value)}f}")


def signed(value: float, of: float) -> str:
    """Returns a difference of measured values with its sign, with as many decimals as `of`; zero has no sign."""
    shown = _minus(f"{value:,.{_decimals(of)}f}")
    if not any(digit in shown for digit in "123456789"):
        return shown.removeprefix(_MINUS)
    return f"+{shown}" if value > 0 else shown


def percent(value: float) -> str:
    """Returns a fraction in percent, with at least two significant digits: 0.00221 as 0.22%."""
    scaled = value * 100
    decimals = 1 if abs(scaled) >= 1 or scaled == 0 else 2 if abs(scaled) >= 0.1 else 3
    return _minus(f"{scaled:,.{decimals}f}%")


def signed_percent(value: float) -> str:
    """Returns a relative change in percent, with its sign."""
    return f"+{percent(value)}" if value > 0 else percent(value)


def plain(value: float) -> str:
    """Returns a setting in its shortest form: 32.0 as 32, 0.0002 as 0.0002, 0.000002 as 2e-06."""
    return _minus(f"{value:g}")


def rough(value: float) -> str:
    """Returns a value of any size with two significant digits: 0.0000305 as 3.1e-05, 12.34 as 12."""
    return _minus(f"{value:.2g}")


def duration(seconds: float) -> str:
    """Returns a length of time in suitable units, such as 2 min 5 s or 3 h 20 min."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def moment(iso: str) -> str:
    """Returns an ISO 8601 time to the minute in UTC; other text is returned unchanged."""
    try:
        parsed = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _decimals(value: float) -> int:
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3


def _minus(text: str) -> str:
    return text.replace("-", _MINUS, 1) if text.startswith("-") else text
