"""Short starts of sentences to compare models on where no held-out rows are at hand: general, neutral, harmless."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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


def encode_prompts(tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Returns the token ids of each prompt, with the special tokens that the tokenizer puts before a text."""
    return [list(ids) for ids in tokenizer(list(PROMPTS))["input_ids"]]
