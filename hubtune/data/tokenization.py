"""Turns rows into token ids and labels: one BOS if the model uses one, an end token, and labels of the target tokens.

The positions of their characters in the row decide which tokens are targets, never a token's value. Special tokens and
end-of-turn tokens are only special if a template wrote them; in data they are plain text.
"""

import copy
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubtune.data.segments import Classified, DroppedRowError, DropReason, Segment, WrittenRow
from hubtune.errors import ModelError
from hubtune.templating.chat import ChatRequest, ChatTemplate, Rendered, TemplateFaultError
from hubtune.templating.process import LimitError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# Private-use characters, which data is not to hold: the first pair goes around special tokens in messages, the second
# around answers.
LITERAL_START, LITERAL_END, ANSWER_START, ANSWER_END = "\U000f0000", "\U000f0001", "\U000f0002", "\U000f0003"
MARKS = re.compile(f"[{LITERAL_START}{LITERAL_END}{ANSWER_START}{ANSWER_END}]")

# A conversation that holds none of the tokens: what is found in it, the template wrote.
_USER, _ANSWER = {"role": "user", "content": "."}, {"role": "assistant", "content": "."}
PROBES = ([{"role": "system", "content": "."}, _USER, _ANSWER, _USER, _ANSWER], [_USER, _ANSWER, _USER, _ANSWER])
# The label that torch's cross entropy and transformers leave out.
IGNORED = -100
_Span = tuple[int, int]


def turn_tokens(tokenizer: "PreTrainedTokenizerBase", template: ChatTemplate | None) -> frozenset[str]:
    """Returns the tokens that are not special and that the template writes around plain messages.

    Tokens that it writes only if there are tools or thoughts are none: answers in data hold those on purpose.

    Raises:
        LimitError: The template exceeds a limit over such messages.
    """
    if template is None or not _plain_tokens(tokenizer):
        return frozenset()
    try:
        found = template.render_all([ChatRequest(messages, ask=True) for messages in PROBES])
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


@dataclass(frozen=True)
class Example:
    """One row as the model sees it.

    Attributes:
        input_ids: Token ids. The last is EOS, or the token that ends a turn in a chat.
        labels: The ids of target tokens, and `IGNORED` elsewhere. Of a row to classify, its classes' ids.
        truncated: Whether the row was cut to fit the length limit. It ends as it would have, all the same.
        token_type_ids: Which of a pair of texts a token belongs to, if the model wants to know.
    """

    text: str
    input_ids: list[int]
    labels: list[int]
    truncated: bool
    token_type_ids: list[int] | None = None

    @property
    def learned(self) -> int:
        """How many tokens are targets; the first of a row never does, since nothing is before it."""
        return sum(label != IGNORED for label in self.labels[1:])


class Encoder:
    """Turns rows into examples for one tokenizer; the same row always gives the same example.

    Special tokens that stand inside data are encoded as text, and so are tokens with which a chat template marks turns
    though they are not special: data cannot end a sequence or open a chat turn.

    Args:
        tokenizer: The base model's, with an EOS token.
        max_length: The most tokens of a row, BOS and EOS included.
        template: The chat template that writes turns; the tokenizer's own unless another does.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", max_length: int, template: str | None = None) -> None:
        turns = _turns(tokenizer, ChatTemplate.of(tokenizer, template))
        self._tokenizer = tokenizer
        self._limit = max_length
        self._bos = _bos(tokenizer)
        self._for_data = for_data(tokenizer, turns)
        self._special = control_pattern(tokenizer, turns)
        self._special_ids = {
            token for token, text in tokenizer.added_tokens_decoder.items() if text.special or str(text) in turns
        }
        self._special_ids.add(tokenizer.eos_token_id)

    def encode(self, rows: Sequence[WrittenRow]) -> list[Example | DroppedRowError]:
        """Encodes rows, in their order; if one cannot be used, the reason is returned instead.

        Raises:
            ModelError: The tokenizer has no token that ends a text.
        """
        if rows and self._tokenizer.eos_token_id is None:
            raise ModelError(
                "The base model's tokenizer has no EOS token, so a tuned model could not learn where to stop.",
                hint="Choose a base model that writes text; this one can classify: `format: classification`.",
            )
        found: dict[int, tuple[list[int], list[_Span]]] = {}
        plain, whole = [], []
        for number, row in enumerate(rows):
            meant = self._meant(row.segments)
            if not meant:
                plain.append(number)
            elif meant == [match.span() for match in self._special.finditer(row.text)]:
                whole.append(number)
            else:
                found[number] = self._by_runs(row.text, meant)
        for numbers, split in ((plain, True), (whole, False)):
            found.update(zip(numbers, self._tokens([rows[number].text for number in numbers], split), strict=True))
        for number in whole:
            meant, text = self._meant(rows[number].segments), rows[number].text
            if not self._steered_by(found[number][0], [text[start:end] for start, end in meant]):
                found[number] = self._by_runs(text, meant)
        return [self._example(row, *found[number]) for number, row in enumerate(rows)]

    def classify(self, rows: Sequence[Classified]) -> list[Example]:
        """Encodes rows to classify, with the special tokens that the tokenizer puts around a text or a pair."""
        examples = []
        for row in rows:
            texts = (row.text,) if row.pair is None else (row.text, row.pair)
            whole = self._for_data(*texts, split_special_tokens=True)
            cut = self._for_data(*texts, split_special_tokens=True, truncation=True, max_length=self._limit)
            examples.append(
                Example(
                    text="\n".join(texts),
                    input_ids=cut["input_ids"],
                    labels=list(row.labels),
                    truncated=len(whole["input_ids"]) > len(cut["input_ids"]),
                    token_type_ids=cut.get("token_type_ids"),
                )
            )
        return examples

    def _meant(self, segments: Sequence[Segment]) -> list[_Span]:
        """Returns where special tokens stand that a template wrote."""
        spans, start = [], 0
        for segment in segments:
            if segment.control:
                spans += [
                    (start + match.start(), start + match.end()) for match in self._special.finditer(segment.text)
                ]
            start += len(segment.text)
        return spans

    def _tokens(self, texts: list[str], split_special: bool) -> list[tuple[list[int], list[_Span]]]:
        """Returns the ids of each text, and the characters that each token stands for, if that can be known."""
        if not texts:
            return []
        fast = bool(self._tokenizer.is_fast)
        tokenizer = self._for_data if split_special else self._tokenizer
        encoded = tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=split_special,
            return_offsets_mapping=fast,
            # Rows are cut later; else it warns of those that are longer than the model can read.
            verbose=False,
        )
        offsets = encoded["offset_mapping"] if fast else [[] for _ in texts]
        return list(zip(encoded["input_ids"], offsets, strict=True))

    def _steered_by(self, ids: Sequence[int], meant: Sequence[str]) -> bool:
        """Whether these are the tokens that steer the model: a normalizer may have made others of the data."""
        steering = self._special_ids - {self._tokenizer.unk_token_id}
        wanted = [int(self._tokenizer.convert_tokens_to_ids(text)) for text in meant]
        return [token for token in ids if token in steering] == [token for token in wanted if token in steering]

    def _by_runs(self, text: str, meant: Sequence[_Span]) -> tuple[list[int], list[_Span]]:
        """Encodes the text between special tokens that are meant as text alone, whatever looks like others there."""
        ids: list[int] = []
        offsets: list[_Span] = []
        place = 0
        for start, end in [*meant, (len(text), len(text))]:
            run_ids, run_offsets = self._run(text[place:start], first=place == 0)
            ids += run_ids
            offsets += [(place + left, place + right) for left, right in run_offsets]
            if start < end:
                ids.append(int(self._tokenizer.convert_tokens_to_ids(text[start:end])))
                offsets.append((start, end))
            place = end
        return ids, offsets

    def _run(self, text: str, *, first: bool) -> tuple[list[int], list[_Span]]:
        if not text:
            return [], []
        if not first:
            # Else SentencePiece puts a space before the run as if it began the row.
            ((line_end, _),) = self._tokens(["\n"], True)
            ((ids, offsets),) = self._tokens(["\n" + text], True)
            if ids[: len(line_end)] == line_end:
                return ids[len(line_end) :], [(max(0, a - 1), max(0, b - 1)) for a, b in offsets[len(line_end) :]]
        ((ids, offsets),) = self._tokens([text], True)
        return ids, offsets

    def _example(self, row: WrittenRow, ids: Sequence[int], offsets: Sequence[_Span]) -> Example | DroppedRowError:
        response = self._responses(row.segments, ids, offsets)
        ids, begun = list(ids), all(response)
        bos = self._tokenizer.bos_token_id
        if bos is not None:
            # A template may have written one, or even two.
            written = len(list(itertools.takewhile(lambda token: token == bos, ids)))
            ids, response = ids[written:], response[written:]
            if written or self._bos:
                ids, response = [bos, *ids], [begun, *response]
        ids, response = self._ended(row, ids, response)
        fitted = self._fitted(ids, response)
        if fitted is None:
            return DroppedRowError(DropReason.NO_ROOM, f"{response.index(True):,} tokens before the response")
        truncated = len(ids) > self._limit
        ids, response = fitted
        labels = [token if row.learn_all or given else IGNORED for token, given in zip(ids, response, strict=True)]
        example = Example(row.text, ids, labels, truncated)
        return example if example.learned else DroppedRowError(DropReason.NOTHING_LEARNED)

    def _responses(self, segments: Sequence[Segment], ids: Sequence[int], offsets: Sequence[_Span]) -> list[bool]:
        """Tells for each token whether a character of a response is in it."""
        if len({segment.response for segment in segments}) == 1:
            return [segments[0].response] * len(ids)
        if not self._tokenizer.is_fast:
            raise ModelError(
                "The base model's tokenizer cannot tell which characters a token stands for, "
                "so prompts and responses cannot be told apart.",
                hint="Choose a base model with a tokenizer.json, or learn whole rows: `loss_on: all`.",
            )
        given = [segment.response for segment in segments for _ in segment.text]
        found, before = [], 0
        for start, end in offsets:
            # Some tokenizers leave spacing out of a token's place: one that is spacing alone then has an empty place.
            first = start if start < end else min(before, end)
            found.append(any(given[first:end]) if first < end else given[min(end, len(given) - 1)])
            before = max(before, end)
        return found

    def _ended(self, row: WrittenRow, ids: list[int], response: list[bool]) -> tuple[list[int], list[bool]]:
        """Returns the row with one end: EOS, unless a chat's template wrote a token of its own that ends the turn."""
        eos = self._tokenizer.eos_token_id
        if row.turns and ids and ids[-1] in self._special_ids:
            return ids, response
        while ids and ids[-1] == eos:
            ids, response = ids[:-1], response[:-1]
        return [*ids, eos], [*response, True]

    def _fitted(self, ids: list[int], response: list[bool]) -> tuple[list[int], list[bool]] | None:
        """Cuts a row that is too long at its end, and ends it again; None if no response would be left.

        A chat that is cut between answers ends with the last whole answer.
        """
        if len(ids) <= self._limit:
            return ids, response
        room = self._limit - 1
        within = response[room - 1] and response[room]
        kept = max((place + 1 for place in range(room) if response[place]), default=0)
        if kept == 0:
            return None
        if not within and ids[kept - 1] in self._special_ids:
            return ids[:kept], response[:kept]
        return [*ids[:kept], ids[-1]], [*response[:kept], True]


def _turns(tokenizer: "PreTrainedTokenizerBase", template: ChatTemplate | None) -> frozenset[str]:
    try:
        return turn_tokens(tokenizer, template)
    except LimitError:
        # No row is written by such a template, or it would have been refused; its tokens are text in data all the same.
        return tokens_in(tokenizer, "" if template is None else template.text)


def _bos(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Returns the BOS id in a list if the tokenizer starts a plain text with it, else an empty list."""
    start = list(tokenizer("")["input_ids"][:1])
    return start if tokenizer.bos_token_id is not None and start == [tokenizer.bos_token_id] else []
