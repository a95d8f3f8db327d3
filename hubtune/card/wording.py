"""The names that readers know, for the short ones that config and records use, and what each measure says."""

from datetime import UTC, datetime

_METHODS = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning", "freeze": "fine-tuning of some layers"}
_PRECISIONS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_MEASURES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "token_f1": "Token F1",
    "macro_f1": "Macro F1",
    "ended": "Ended by itself",
    "generated_tokens": "Tokens written",
}
# What the Hub and its evaluate library call the measures that others can compare with.
_STANDARD = {
    **{name: name for name in ("perplexity", "bits_per_byte", "bleu", "chrf", "rouge1", "rouge2", "rougeL")},
    **{"exact_match": "exact_match", "accuracy": "accuracy", "token_f1": "f1", "macro_f1": "f1"},
    **{"macro_precision": "precision", "macro_recall": "recall"},
}

QUALITY, BIAS, PRIVACY = "quality", "bias", "privacy"
_MEANINGS = {
    "perplexity": "how unexpected the text is to the model; lower is better, and a model that foresees all has 1",
    "bits_per_byte": "the same for each byte of the text, so that it compares between tokenizers; lower is better",
    "token_accuracy": "how many tokens of the text were the likeliest to the model; higher is better",
    "bleu": "how far the written words and their order are the row's, 0 to 100; higher is better",
    "chrf": "how far the written letters are the row's, 0 to 100; higher is better",
    "rouge1": "how many single words are shared with the row, 0 to 1; higher is better",
    "rouge2": "how many pairs of words are shared with the row, 0 to 1; higher is better",
    "rougeL": "how long the words run that are shared with the row in order, 0 to 1; higher is better",
    "exact_match": "how many responses are the row's, but for case, punctuation and articles; higher is better",
    "token_f1": "how many words of responses and rows are the same, 0 to 1; higher is better",
    "ended": "how many of the written texts come to an end before the limit",
    "generated_tokens": "how many tokens a written text has on average, the one that ends it included",
    "accuracy": "how many rows get their class; higher is better",
    "macro_f1": "how well the classes are told apart, each class counting the same; higher is better",
    "macro_precision": "how many of the rows that get a class have it, each class counting the same; higher is better",
    "macro_recall": "how many of the rows that have a class get it, each class counting the same; higher is better",
    "counterfactual_gap_abs": "how far a sentence's likelihood moves either way, in nats, when one group's term "
    "takes the place of another's; 0 is even-handed",
    "counterfactual_gap": "how much likelier, in nats, the rest of a sentence is after one group's term than after "
    "another's; 0 is even-handed on average",
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


def standard_type(name: str) -> str | None:
    """Returns what metadata calls a measure, None for one that is known here alone."""
    return _STANDARD.get(name)


def measure_meaning(name: str) -> str | None:
    """Returns what a value of the measure says, in words; None for a measure that is not listed.

    A measure that is taken along several axes is listed without the axis.
    """
    listed = [known for known in _MEANINGS if name == known or name.startswith(f"{known}_")]
    return _MEANINGS[max(listed, key=len)] if listed else None


_MINUS = "\N{MINUS SIGN}"


def thousands(value: float) -> str:
    """Returns a count: 98765 as 98,765."""
    return _minus(f"{value:,.0f}")


def measure(value: float) -> str:
    """Returns a measured value with about four digits that count: 27.4035 as 27.40, 1234.5 as 1,234."""
    return _minus(f"{value:,.{_decimals(value)}f}")


def signed(value: float, of: float) -> str:
    """Returns a difference of measured values, to as many decimals as `of` shows, with its sign unless it is zero."""
    shown = _minus(f"{value:,.{_decimals(of)}f}")
    if not any(digit in shown for digit in "123456789"):
        return shown.removeprefix(_MINUS)
    return f"+{shown}" if value > 0 else shown


def percent(value: float) -> str:
    """Returns a fraction in per cent, with at least two digits that count: 0.00221 as 0.22 %."""
    scaled = value * 100
    decimals = 1 if abs(scaled) >= 1 or scaled == 0 else 2 if abs(scaled) >= 0.1 else 3
    return _minus(f"{scaled:,.{decimals}f} %")


def signed_percent(value: float) -> str:
    """Returns a relative change in per cent, with its sign."""
    return f"+{percent(value)}" if value > 0 else percent(value)


def plain(value: float) -> str:
    """Returns a setting as short as it can be written: 32.0 as 32, 0.0002 as 0.0002, 0.000002 as 2e-06."""
    return _minus(f"{value:g}")


def rough(value: float) -> str:
    """Returns a value of any size with two digits that count: 0.0000305 as 3.1e-05, 12.34 as 12."""
    return _minus(f"{value:.2g}")


def duration(seconds: float) -> str:
    """Returns a length of time in the units that fit it, such as 2 min 5 s or 3 h 20 min."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def moment(iso: str) -> str:
    """Returns an ISO 8601 time to the minute in UTC; a text that is none is returned as it is."""
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
