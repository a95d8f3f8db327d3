"""Tells which tokens steer the model: the special ones, and those with which a chat template opens and ends turns.

Some tokenizers hold the marks of turns as tokens that are not special. Their own switch for special tokens in data does
not stop those, so that a message could open a turn of its own.
"""

import copy
import re
from typing import TYPE_CHECKING

from hubtune.templating.chat import ChatTemplate, Rendered, Talk, TemplateFaultError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Private-use characters, which data is not to hold: the first pair goes around special tokens in messages, the second
# around answers.
LITERAL_START, LITERAL_END, ANSWER_START, ANSWER_END = "\U000f0000", "\U000f0001", "\U000f0002", "\U000f0003"
MARKS = re.compile(f"[{LITERAL_START}{LITERAL_END}{ANSWER_START}{ANSWER_END}]")

# A conversation that holds none of the tokens: what is found in it, the template wrote.
_USER, _ANSWER = {"role": "user", "content": "."}, {"role": "assistant", "content": "."}
PROBES = ([{"role": "system", "content": "."}, _USER, _ANSWER, _USER, _ANSWER], [_USER, _ANSWER, _USER, _ANSWER])


def turn_tokens(tokenizer: "PreTrainedTokenizerBase", template: ChatTemplate | None) -> frozenset[str]:
    """Returns the tokens that are not special and that the template writes around plain messages.

    Tokens that it writes only where there are tools or thoughts are none: answers in data hold those on purpose.

    Raises:
        LimitError: The template exceeds a limit over such messages.
    """
    if template is None or not _plain_tokens(tokenizer):
        return frozenset()
    try:
        found = template.render_all([Talk(messages, ask=True) for messages in PROBES])
    except TemplateFaultError:
        found = []
    shown = "".join(each.text for each in found if isinstance(each, Rendered))
    return tokens_in(tokenizer, shown or template.text)


def tokens_in(tokenizer: "PreTrainedTokenizerBase", text: str) -> frozenset[str]:
    """Returns the tokens that are not special and that a text holds."""
    return frozenset(token for token in _plain_tokens(tokenizer) if token in text)


def control_pattern(tokenizer: "PreTrainedTokenizerBase", turns: frozenset[str]) -> "re.Pattern[str]":
    """Returns a pattern that finds special tokens and tokens of turns, the longest first."""
    texts = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    texts |= set(tokenizer.all_special_tokens) | turns
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(re.escape(text) for text in longest_first) or "(?!)")


def for_data(tokenizer: "PreTrainedTokenizerBase", turns: frozenset[str]) -> "PreTrainedTokenizerBase":
    """Returns a tokenizer with the same ids that takes tokens of turns for special ones, to encode data with.

    So that `split_special_tokens` makes text of them too. The one given stays as it is: it is published.
    """
    if not turns or not tokenizer.is_fast:
        return tokenizer
    from tokenizers import AddedToken

    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.add_special_tokens(
        [
            AddedToken(
                str(token),
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                single_word=token.single_word,
                normalized=token.normalized,
                special=True,
            )
            for token in tokenizer.added_tokens_decoder.values()
            if str(token) in turns
        ]
    )
    return other


def _plain_tokens(tokenizer: "PreTrainedTokenizerBase") -> set[str]:
    return {str(token) for token in tokenizer.added_tokens_decoder.values() if not token.special and str(token).strip()}
