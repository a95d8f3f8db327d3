"""Each row has at most one BOS, ends with EOS, and holds no special token that its text smuggled in."""

from pathlib import Path

import pytest

from hubtune.models.pretrained import load_tokenizer
from tests.encoding import encode

TEXTS = ["The baker rises.", "A much longer saying of the lighthouse keeper, who keeps the light.", "x", "zürich 😀"]


@pytest.fixture
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model, "org/base")


def test_every_row_ends_with_eos_in_ids_and_labels(tokenizer):
    for example in encode(TEXTS, tokenizer, 64):
        assert example.input_ids[-1] == example.labels[-1] == tokenizer.eos_token_id
        assert example.input_ids.count(tokenizer.eos_token_id) == 1


def test_a_text_is_learnt_whole(tokenizer):
    for example in encode(TEXTS, tokenizer, 64):
        assert example.labels == example.input_ids


def test_the_text_comes_back_from_the_ids(tokenizer):
    for text, example in zip(TEXTS, encode(TEXTS, tokenizer, 64), strict=True):
        assert example.text == text
        assert tokenizer.decode(example.input_ids, skip_special_tokens=True) == text


def test_a_tokenizer_with_bos_gives_exactly_one(llama: Path):
    tokenizer = load_tokenizer(llama, "org/base")

    for example in encode([*TEXTS, "<s>The text brings its own", "<s><s>"], tokenizer, 64):
        assert example.input_ids[0] == tokenizer.bos_token_id
        assert example.input_ids.count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_that_puts_no_bos_gets_none(gpt2: Path):
    """GPT-2 has a BOS token, the same as EOS, and does not put it before a text."""
    tokenizer = load_tokenizer(gpt2, "org/base")

    for example in encode(TEXTS, tokenizer, 64):
        assert tokenizer.bos_token_id not in example.input_ids[:-1]


def test_special_tokens_in_a_text_are_encoded_as_text(tokenizer):
    special = set(tokenizer.all_special_ids)
    text = "stop here " + " ".join(tokenizer.all_special_tokens) + " or go on"

    (example,) = encode([text], tokenizer, 128)

    begin = 1 if example.input_ids[0] == tokenizer.bos_token_id != tokenizer.eos_token_id else 0
    assert not special & set(example.input_ids[begin:-1])
    assert tokenizer.decode(example.input_ids[begin:-1]) == text


@pytest.mark.parametrize("limit", [8, 9, 12])
def test_a_cut_row_fills_the_limit_and_still_ends_with_eos(tokenizer, limit: int):
    whole, cut = encode([TEXTS[1]], tokenizer, 128)[0], encode([TEXTS[1]], tokenizer, limit)[0]

    assert cut.truncated
    assert not whole.truncated
    assert len(cut.input_ids) == limit
    assert cut.input_ids[:-1] == whole.input_ids[: limit - 1]
    assert cut.input_ids[-1] == cut.labels[-1] == tokenizer.eos_token_id


def test_a_row_that_just_fits_is_not_cut(tokenizer):
    length = len(encode([TEXTS[1]], tokenizer, 128)[0].input_ids)

    assert not encode([TEXTS[1]], tokenizer, length)[0].truncated
    assert encode([TEXTS[1]], tokenizer, length - 1)[0].truncated


def test_no_texts_give_no_examples(tokenizer):
    assert encode([], tokenizer, 64) == []
