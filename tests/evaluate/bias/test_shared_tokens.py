"""What is scored are the characters that both sentences share after their difference, whatever the tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubtune.config.evaluation import BiasConfig
from hubtune.evaluate.bias.material import pairs, swaps
from hubtune.evaluate.bias.pair_preference import after_difference, after_term, encode_pairs, text_start
from tests import tiny_tokenizers

KINDS = ["gpt2", "qwen", "llama"]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest):
    return getattr(tiny_tokenizers, request.param)()


def _counted(tokenizer, row) -> list[int]:
    return [token for token, counts in zip(row.input_ids, row.counted, strict=True) if counts]


def test_both_sentences_of_every_swap_have_the_same_tokens_scored_and_they_spell_what_follows_the_term(tokenizer):
    found = swaps(BiasConfig()).items[::7]
    sentences = [(swap.sentence(swap.a), swap.sentence(swap.b)) for swap in found]

    encoded = encode_pairs(
        tokenizer,
        [(a, b, after_term(a, b, len(swap.after))) for swap, (a, b) in zip(found, sentences, strict=True)],
        None,
    )

    for swap, (a, b), rows in zip(found, sentences, encoded, strict=True):
        first, second = (_counted(tokenizer, row) for row in rows)
        assert first == second
        # A token that stands for spacing alone may belong to the term.
        assert tokenizer.decode(first).split() == swap.after.split()
        for text, row in ((a, rows[0]), (b, rows[1])):
            assert row.input_ids == text_start(tokenizer) + tokenizer(text, add_special_tokens=False)["input_ids"]


def test_both_sentences_of_every_pair_have_the_same_tokens_scored(tokenizer):
    found = pairs(BiasConfig()).items[::7]

    encoded = encode_pairs(tokenizer, [(p.more, p.less, after_difference(p.more, p.less)) for p in found], None)

    for pair, rows in zip(found, encoded, strict=True):
        more, less = (_counted(tokenizer, row) for row in rows)
        assert more == less
        assert pair.more.endswith(tokenizer.decode(more).strip())
        assert len(more) >= 2


def test_words_between_two_differences_count_and_those_before_the_first_do_not():
    first, second = "At noon the woman lost her keys.", "At noon the old man lost his keys."

    found = after_difference(first, second)

    spelled = ["".join(first[a : a + length]) for a, _, length in found]
    assert [text.strip() for text in spelled if text.strip()] == ["lost", "keys."]
    assert all(first[a : a + length] == second[b : b + length] for a, b, length in found)


@given(st.text("ab '-é", max_size=20), st.text("ab '-é", max_size=20))
def test_the_stretches_are_the_same_text_on_both_sides_in_order(first: str, second: str):
    found = after_difference(first, second)

    for a, b, length in found:
        assert first[a : a + length] == second[b : b + length]
    assert found == sorted(found)


def test_a_pair_with_nothing_after_its_difference_cannot_be_scored(tokenizer):
    first, second = "Here sits my aunt", "Here sits my uncle"

    assert encode_pairs(tokenizer, [(first, second, after_difference(first, second))], None) == [None]


def test_a_pair_that_the_context_cannot_hold_is_not_cut(tokenizer):
    pair = ("an old clerk " + "smiled " * 30, "a young clerk " + "smiled " * 30)

    assert encode_pairs(tokenizer, [(*pair, after_difference(*pair))], 12) == [None]


def test_a_token_that_stands_for_part_of_a_character_counts_on_both_sides(tokenizer):
    first, second = "one said 🙂 é.", "two said 🙂 é."

    ((left, right),) = encode_pairs(tokenizer, [(first, second, after_difference(first, second))], None)

    assert _counted(tokenizer, left) == _counted(tokenizer, right)
    assert tokenizer.decode(_counted(tokenizer, left)).strip() == "said 🙂 é."


def test_special_tokens_in_a_sentence_are_text():
    tokenizer = tiny_tokenizers.gpt2()
    first, second = "She said <|endoftext|> twice", "They said <|endoftext|> twice"

    ((left, _),) = encode_pairs(tokenizer, [(first, second, after_difference(first, second))], None)

    assert tokenizer.eos_token_id not in left.input_ids
