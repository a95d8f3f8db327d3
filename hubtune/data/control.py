"""Tells which tokens steer the model: the special ones, and those with which a chat template opens and ends turns.

Some tokenizers hold the marks of turns as tokens that are not special. Their own switch for special tokens in data does
not stop those, so that a message could open a turn of its own.
"""

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# A conversation that holds none of the tokens: what is found in it, the template wrote.
_USER, _ANSWER = {"role": "user", "content": "."}, {"role": "assistant", "content": "."}
_PROBES = ([{"role": "system", "content": "."}, _USER, _ANSWER, _USER, _ANSWER], [_USER, _ANSWER, _USER, _ANSWER])


def own_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Returns the tokenizer's chat template, of several the default one."""
    own = tokenizer.chat_template
    if isinstance(own, Mapping):
        own = own.get("default")
    return own if isinstance(own, str) else None


def turn_tokens(tokenizer: "PreTrainedTokenizerBase", template: str | None) -> frozenset[str]:
    """Returns the tokens that are not special and that the template writes around plain messages.

    Tokens that it writes only where there are tools or thoughts are none: answers in data hold those on purpose.
    """
    added = {
        str(token) for token in tokenizer.added_tokens_decoder.values() if not token.special and str(token).strip()
    }
    if template is None or not added:
        return frozenset()
    shown = "".join(_rendered(tokenizer, template, messages) for messages in _PROBES)
    return frozenset(token for token in added if token in (shown or template))


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


def _rendered(tokenizer: "PreTrainedTokenizerBase", template: str, messages: list[dict[str, str]]) -> str:
    try:
        return str(
            tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
        )
    except Exception:  # noqa: BLE001 - a template may raise anything over messages that it was not written for
        return ""
