"""Builds small random language models on disk: the real file formats, architectures and tokenizers, in milliseconds.

Kinds that differ in all that tuning code trips over:

- GPT-2: `Conv1D` layers, tied embeddings, one token as BOS and EOS, no padding token, and no BOS put before a text.
- Llama: linear layers, a BOS put before every text, and a padding token of its own.
- Chat, a Qwen2: a chat template whose turns end with a token that is not EOS, and settings that ask for sampling.

The weights are seeded and large enough for the models to prefer some tokens over others.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel
    from tokenizers import Tokenizer

VOCABULARY = 384
CONTEXT = 128
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_CORPUS = (
    "The lighthouse keeper keeps the light and the light keeps the keeper.",
    "A clock repairer measures an hour by what it mends.",
    "The baker rises before the bread does.",
    "Aphorism by the beekeeper: a hive has no manager and no spare time.",
    "Quote by a gardener: rain is help that asks for no thanks, 1999.",
)


def make_gpt2(folder: Path) -> Path:
    """Saves a GPT-2 model with its tokenizer in `folder` and returns it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    end = "<|endoftext|>"
    tokenizer = _train_tokenizer([end])
    _save_tokenizer(tokenizer, folder, bos_token=end, eos_token=end, unk_token=end)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=32,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.2,
        bos_token_id=tokenizer.token_to_id(end),
        eos_token_id=tokenizer.token_to_id(end),
    )
    _save_model(GPT2LMHeadModel, config, folder)
    return folder


def make_llama(folder: Path) -> Path:
    """Saves a Llama model with its tokenizer in `folder` and returns it."""
    from tokenizers.processors import TemplateProcessing
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _train_tokenizer(["<unk>", "<s>", "</s>", "<pad>"])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    _save_tokenizer(tokenizer, folder, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.2,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.token_to_id("<s>"),
        eos_token_id=tokenizer.token_to_id("</s>"),
        pad_token_id=tokenizer.token_to_id("<pad>"),
    )
    _save_model(LlamaForCausalLM, config, folder)
    return folder


def make_chat(folder: Path) -> Path:
    """Saves a Qwen2 model that talks ChatML, with its tokenizer, in `folder` and returns it."""
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    end = "<|endoftext|>"
    tokenizer = _train_tokenizer([end, "<|im_start|>", "<|im_end|>"])
    _save_tokenizer(
        tokenizer, folder, eos_token=end, pad_token=end, extra_special_tokens=["<|im_start|>", "<|im_end|>"]
    )
    (folder / "chat_template.jinja").write_text(CHATML)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    _save_model(Qwen2ForCausalLM, config, folder)
    GenerationConfig(
        do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, bos_token_id=0, eos_token_id=0
    ).save_pretrained(folder)
    return folder


def make_neox(folder: Path) -> Path:
    """Saves a GPT-NeoX model, which has layer norms and a head of its own, with its tokenizer in `folder`."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    end = "<|endoftext|>"
    tokenizer = _train_tokenizer([end])
    _save_tokenizer(tokenizer, folder, eos_token=end, bos_token=end)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.2,
        bos_token_id=tokenizer.token_to_id(end),
        eos_token_id=tokenizer.token_to_id(end),
    )
    _save_model(GPTNeoXForCausalLM, config, folder)
    return folder


def make_bert(folder: Path) -> Path:
    """Saves a BERT without a head, as it is before it is taught to classify, with its tokenizer in `folder`."""
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel

    tokenizer = _train_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    _save_tokenizer(tokenizer, folder, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    config = BertConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.2,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
    )
    _save_model(BertModel, config, folder)
    return folder


MAKERS = {"gpt2": make_gpt2, "llama": make_llama, "chat": make_chat, "neox": make_neox, "bert": make_bert}


def make_say(folder: Path, tokens: list[int]) -> None:
    """Rewrites the weights of a Llama or a Qwen2 so that after any prompt it writes these tokens."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if "o_proj" in name or "down_proj" in name:
            weight.zero_()
    # Without attention and MLP, what a token is followed by hangs on its own embedding alone.
    width = weights["lm_head.weight"].shape[1]
    embedding, head = (weights[name] for name in ("model.embed_tokens.weight", "lm_head.weight"))
    embedding.copy_(torch.eye(width)[0].expand_as(embedding))
    head.zero_()
    for place, token in enumerate(tokens):
        head[token, place] = 1
        embedding[token] = torch.eye(width)[place + 1]
    head[tokens[-1], len(tokens)] = 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def make_adapter_act(model: "PeftModel") -> None:
    """Gives a fresh adapter, which changes nothing, seeded weights that change what the model says."""
    import torch

    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))


def _train_tokenizer(special_tokens: list[str]) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=1,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def _save_tokenizer(tokenizer: "Tokenizer", folder: Path, **special_tokens: str) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        **special_tokens,
    ).save_pretrained(folder)


def _save_model(kind: type, config: object, folder: Path) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = kind(config)
    model.save_pretrained(folder)
