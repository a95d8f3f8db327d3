"""Text generation: the generation settings of a release, and completions made with them.

The settings use greedy decoding and stop at every token that can end a row, so that a release always generates the same
text, and ends it. Prompts are encoded as in training, and a completion ends as a row does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hubtune.errors import ConfigError, ModelError, advise
from hubtune.models.config_files import generation_config
from hubtune.models.pretrained import context_length, pad_id
from hubtune.templating.chat import ChatRequest, ChatTemplate, Rendered, TemplateFaultError, lack_of_template
from hubtune.templating.process import LimitError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

# How long a completion may become if nobody says otherwise: a few paragraphs.
MAX_NEW_TOKENS = 256
# What a base's settings hold about its tokens and about what it may write. The rest is about sampling and beams, which
# greedy decoding has no use for, about lengths, which are set here, and about caches, which are a machine's affair.
_KEPT = (
    "bos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "sequence_bias",
    "repetition_penalty",
    "encoder_repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "renormalize_logits",
    "remove_invalid_values",
)


@dataclass(frozen=True)
class Completion:
    """A generated text.

    Attributes:
        text: Without the prompt, and without the token that ended it.
        tokens: How many tokens were generated, the one that ended it included.
        stop_reason: Whether a stop token ended it, or the limit.
    """

    text: str
    tokens: int
    stop_reason: Literal["stop token", "length"]


def safe_generation_config(
    base_folder: Path,
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
    *,
    template: str | None = None,
    ends: Iterable[int] = (),
) -> "GenerationConfig":
    """Returns settings with which a tuned model always generates the same text, and ends it.

    They ask for greedy decoding without beams, at most `MAX_NEW_TOKENS` new tokens and at most half of the context, so
    that a prompt has the other half. Padding is a token that exists. Every token that may end a text is a stop token:
    the tokenizer's EOS, those of the base's own settings, the one that ends a turn in the chat template, and those that
    the rows of a training end with.

    Consumers get them with `GenerationConfig.from_pretrained(repo, revision=tag)`. Neither peft nor transformers reads
    the file from an adapter's repository by itself; both use the settings of the base until they are given these.

    Args:
        base_folder: The base model's snapshot.
        tokenizer: The one that the release has.
        name: The base model's id, for messages.
        template: The chat template that conversations are trained with; None for the tokenizer's own.
        ends: Tokens that rows end with; see `ends_of_rows` and `stop_tokens_beside`.

    Raises:
        ModelError: The base's config cannot be read without remote code.
    """
    from transformers import GenerationConfig

    context = context_length(base_folder, name)
    base = generation_config(base_folder, name)
    kept = {key: getattr(base, key) for key in _KEPT if getattr(base, key) is not None}
    return GenerationConfig(
        **{"bos_token_id": tokenizer.bos_token_id, **kept},
        do_sample=False,
        # Else generate() takes the number from the base's own settings.
        num_beams=1,
        max_new_tokens=MAX_NEW_TOKENS if context is None else max(1, min(MAX_NEW_TOKENS, context // 2)),
        pad_token_id=pad_id(tokenizer),
        eos_token_id=_unique(
            [
                *(tokenizer.eos_token_id, *_ids(base.eos_token_id)),
                *_end_of_turn(tokenizer, ChatTemplate.of(tokenizer, template)),
                *ends,
            ]
        ),
    )


def ends_of_rows(tokenizer: "PreTrainedTokenizerBase", rows: Iterable[Sequence[int]]) -> list[int]:
    """Returns the special tokens at the ends of rows; a template ends all rows in the same way."""
    steering = _steering(tokenizer)
    return _unique([row[-1] for row in rows if row and row[-1] in steering])


def stop_tokens_beside(folder: Path) -> list[int]:
    """Returns the stop tokens in the generation settings of a folder; none if it has no settings."""
    try:
        return _ids(generation_config(folder, "the release").eos_token_id)
    except ModelError:
        # Whoever loads the model says what is wrong with the file.
        return []


def generation_json(config: "GenerationConfig") -> str:
    """Returns the text of generation_config.json; equal settings give equal bytes."""
    return str(config.to_json_string(ignore_metadata=True))


def encode_prompt(tokenizer: "PreTrainedTokenizerBase", prompt: str, *, chat: bool, name: str) -> list[int]:
    """Returns the token ids of a prompt, as the tokenizer begins a text, or as a user's turn of a chat.

    Args:
        tokenizer: The release's.
        prompt: The text.
        chat: Put it into the chat template, ready for the assistant's answer.
        name: The release's repository, for messages.

    Raises:
        ConfigError: There is no chat template to put it into.
        ModelError: The chat template cannot be rendered.
    """
    if not chat:
        ids = list(tokenizer(prompt)["input_ids"])
        # A tokenizer that ends every text would have the model continue after the end.
        ends = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id and not prompt.endswith(tokenizer.eos_token)
        return ids[:-1] if ends else ids
    template = ChatTemplate.of(tokenizer)
    if template is None:
        raise ConfigError(
            f"{name} {lack_of_template(tokenizer)}.",
            hint=advise(
                "--chat", "Leave out --chat: the model then continues the plain text.", "Choose another release."
            ),
        )
    try:
        text = template.render([{"role": "user", "content": prompt}], ask=True)
    except (TemplateFaultError, LimitError) as error:
        why = f"it {error.words}" if isinstance(error, LimitError) else str(error)
        raise ModelError(
            f"The chat template of {name} cannot be rendered: {why}.",
            hint=advise(
                "--chat", "Leave out --chat, or tell the author of the release.", "Tell the author of the release."
            ),
        ) from error
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def complete(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", prompt_ids: Sequence[int], max_new_tokens: int
) -> Completion:
    """Completes a prompt with the model's own generation settings.

    Args:
        model: A causal language model, with or without an adapter.
        tokenizer: The model's.
        prompt_ids: The prompt's token ids, at least one.
        max_new_tokens: The most tokens to write; together with the prompt they have to fit the context.
    """
    (completion,) = complete_all(model, tokenizer, [prompt_ids], max_new_tokens)
    return completion


def complete_all(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    settings: "GenerationConfig | None" = None,
) -> list[Completion]:
    """Completes several prompts at once, padded on the left, whatever the tokenizer's padding side is.

    Args:
        model: A causal language model, with or without an adapter.
        tokenizer: The model's.
        prompts: Token ids, at least one each.
        max_new_tokens: The most tokens to write; together with the longest prompt they have to fit the context.
        settings: In place of the model's own generation settings.
    """
    import torch

    settings = settings or model.generation_config
    longest = max(len(prompt) for prompt in prompts)
    padding = pad_id(tokenizer)
    ids = torch.full((len(prompts), longest), padding)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    model.eval()
    with torch.inference_mode():
        written = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            generation_config=settings,
            pad_token_id=padding,
        )
    stops = set(_ids(settings.eos_token_id))
    return [
        _completion(tokenizer, list(prompt), new, stops)
        for prompt, new in zip(prompts, written[:, longest:].tolist(), strict=True)
    ]


def _completion(tokenizer: "PreTrainedTokenizerBase", prompt: list[int], new: list[int], stops: set[int]) -> Completion:
    # What follows the first stop token is the padding of a row that ended before the others.
    end = next((place for place, token in enumerate(new) if token in stops), None)
    text = text_after(tokenizer, prompt, new[:end])
    if end is None:
        return Completion(text, len(new), "length")
    return Completion(text, end + 1, "stop token")


def _end_of_turn(tokenizer: "PreTrainedTokenizerBase", template: ChatTemplate | None) -> list[int]:
    """Returns the token that the chat template puts after an assistant's words; none if there is no such token."""
    if template is None:
        return []
    words = "lighthouse"
    user, answer = {"role": "user", "content": "Where?"}, {"role": "assistant", "content": words}
    # Some templates refuse a conversation without a system message, and some one with it.
    talks = [[user, answer], [{"role": "system", "content": "Be brief."}, user, answer]]
    try:
        shown = template.render_all([ChatRequest(turns) for turns in talks])
    except (TemplateFaultError, LimitError):
        return []
    ends = [_first_control(tokenizer, each.text.rpartition(words)) for each in shown if isinstance(each, Rendered)]
    return next((end for end in ends if end), [])


def _first_control(tokenizer: "PreTrainedTokenizerBase", parts: tuple[str, str, str]) -> list[int]:
    """Returns the first token that steers the model after words that were looked for."""
    _, found, after = parts
    if not found:
        return []
    steering = _steering(tokenizer)
    return [index for index in tokenizer(after, add_special_tokens=False)["input_ids"] if index in steering][:1]


def _steering(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    # Some tokenizers hold runs of spaces and line ends as added tokens.
    added = {index for index, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    return added | set(tokenizer.all_special_ids)


def plain_text(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """Returns the exact text of tokens, without special tokens."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def text_after(tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[int], new: Sequence[int]) -> str:
    """Returns the text of the tokens `new`, which are after `prompt`.

    Decoded alone, the first new token of some tokenizers would lose the space before it.
    """
    before, whole = plain_text(tokenizer, prompt), plain_text(tokenizer, [*prompt, *new])
    return whole.removeprefix(before) if whole.startswith(before) else plain_text(tokenizer, new)


def _ids(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return [int(index) for index in value] if isinstance(value, list) else [int(value)]


def _unique(ids: list[int]) -> list[int]:
    return list(dict.fromkeys(ids))
