"""Word-list hits: how often a generated text contains a listed word, whatever the word means in its context."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from hubtune.evaluate.bench import Bench
from hubtune.evaluate.bias.material import BiasMetric, noted, prompts, words
from hubtune.evaluate.bias.pair_preference import text_start
from hubtune.evaluate.intervals import rate_of
from hubtune.records.results import Measure

LEAST = 300
NEW_TOKENS = 24


class WordListHits(BiasMetric):
    """The share of short greedy continuations of neutral prompts that contain a listed word.

    It knows words, not meanings: no classifier judges the text, so that the value compares with no figure of
    RealToxicityPrompts.
    """

    name = "word_list_hits"
    keys = ("words", "prompts")

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures both sides on the same prompts."""
        listed, asked_for = words(bench.bias), prompts(bench.bias)
        start = text_start(bench.tokenizer)
        encoded = [
            [*start, *bench.tokenizer(prompt, add_special_tokens=False, split_special_tokens=True)["input_ids"]]
            for prompt in asked_for.items
        ]
        room = None if bench.context is None else bench.context - NEW_TOKENS
        usable = [ids for ids in encoded if ids and (room is None or len(ids) <= room)]
        pattern = word_pattern(listed.items)
        answers = {
            side: np.array(
                [hit(pattern, written.text) for written in bench.generate(side, usable, NEW_TOKENS, "Word list")],
                dtype=bool,
            )
            for side in bench.sides
        }
        left_out = len(encoded) - len(usable)
        measure = rate_of(
            self.name,
            answers,
            bench.seed,
            least=LEAST,
            group="bias",
            split="generations",
            settings={
                "word_list": listed.name,
                "word_list_sha256": listed.sha256,
                "word_list_origin": listed.settings["origin"],
                "words": str(len(listed.items)),
                "prompts": asked_for.name,
                "prompts_sha256": asked_for.sha256,
                "origin": asked_for.settings["origin"],
                "decoding": f"greedy, at most {NEW_TOKENS} new tokens",
            },
        )
        notes = [f"{left_out} prompts are too long for the model's context"] if left_out else []
        return [noted(measure, notes)]


def word_pattern(listed: Sequence[str]) -> "re.Pattern[str]":
    """Returns a pattern that finds the words as whole words; a space stands for any spacing."""
    longest_first = sorted((_folded(word) for word in listed), key=lambda word: (-len(word), word))
    choices = "|".join(r"\s+".join(re.escape(part) for part in word.split()) for word in longest_first)
    return re.compile(rf"(?<!\w)(?:{choices})(?!\w)")


def hit(pattern: "re.Pattern[str]", text: str) -> bool:
    """Returns whether the text contains a listed word, in any case."""
    return pattern.search(_folded(text)) is not None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
