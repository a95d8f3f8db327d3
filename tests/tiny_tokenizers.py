"""Tokenizers of four kinds, made small in code, that differ in all that masks and ends of rows depend on.

- GPT-2: bytes; one token as BOS and EOS, none put before a text; no padding token; no chat template.
- Llama: SentencePiece-like, spaces as `▁` one before a text, unknown characters as bytes; BOS before every text;
  a chat template that writes BOS itself and ends each answer with EOS.
- Qwen: bytes, with a token's place that leaves spacing out; no BOS; padding and end of text are one token; turns end
  with another, and ChatML is written by the template.
- BERT: lower-cased word pieces; `[CLS]` before and `[SEP]` after, which stand for BOS and EOS too.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

_CORPUS = (
    "The strongest lock on the street belongs to the house that lent out four keys.",
    "Oil is a virtue by the drop and a vice by the spoonful.",
    "Aphorism by the chimney sweep: when there are swallows in the stack, I put the brush away.",
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "user assistant system tool calls",
)

LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] | trim }} [/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] | trim }}{{ eos_token }}"
    "{% elif loop.first %}<<SYS>>{{ message['content'] }}<</SYS>>"
    "{% else %}{{ raise_exception('no role ' + message['role']) }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITH_GENERATION = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "A: {% generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}\n"
    "{% else %}{{ message['role'] }}: {{ message['content'] }}\n{% endif %}{% endfor %}"
)


def gpt2() -> "PreTrainedTokenizerFast":
    """Returns a tokenizer of the GPT-2 kind."""
    from tokenizers import processors

    tokenizer = _bytes(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return _wrapped(tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")


def qwen() -> "PreTrainedTokenizerFast":
    """Returns a tokenizer of the Qwen kind."""
    from tokenizers import AddedToken, processors

    tokenizer = _bytes(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    # Tokens that the vocabulary holds and that are not special, as in Qwen2.5 and later.
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    made = _wrapped(tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = CHATML
    return made


def llama() -> "PreTrainedTokenizerFast":
    """Returns a tokenizer of the Llama kind."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ["<unk>", "<s>", "</s>"]
    words = _words(pre_tokenizers.Metaspace(prepend_scheme="first"))
    merges = _merges(words, 250)
    pieces = sorted({character for word in words for character in word}) + ["".join(pair) for pair in merges]
    vocabulary = _numbered([*special, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces])
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    made = _wrapped(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    made.chat_template = LLAMA_TEMPLATE
    return made


def bert() -> "PreTrainedTokenizerFast":
    """Returns a tokenizer of the BERT kind."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word.lower() for word in _words(pre_tokenizers.BertPreTokenizer())}
    letters = sorted({letter for word in words for letter in word})
    vocabulary = _numbered([*special, *letters, *(f"##{letter}" for letter in letters), *sorted(words)])
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ids = {name: tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]")}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=list(ids.items())
    )
    made = _wrapped(
        tokenizer,
        **{"cls_token": "[CLS]", "sep_token": "[SEP]", "bos_token": "[CLS]", "eos_token": "[SEP]"},
        **{"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"},
    )
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return made


KINDS: dict[str, Callable[[], "PreTrainedTokenizerFast"]] = {"gpt2": gpt2, "llama": llama, "qwen": qwen, "bert": bert}


def _bytes(special: list[str]) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    splitting = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merges = _merges(_words(splitting), 200)
    vocabulary = _numbered([*special, *sorted(splitting.alphabet()), *("".join(pair) for pair in merges)])
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = splitting
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _words(splitting: "PreTokenizer") -> list[str]:
    return [word for line in _CORPUS for word, _ in splitting.pre_tokenize_str(line)]


def _merges(words: list[str], count: int) -> list[tuple[str, str]]:
    """Learns byte pair merges (Sennrich et al., 2016); the library's trainer breaks ties another way each time."""
    split = [list(word) for word in words]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs = Counter(pair for word in split for pair in itertools.pairwise(word))
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = [_merged(word, best) for word in split]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for symbol in word:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return out


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _wrapped(tokenizer: "Tokenizer", **special_tokens: str) -> "PreTrainedTokenizerFast":
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **special_tokens)
