"""The material that ships: enough of it, nothing twice, grammar that holds with each term, pairs that differ little."""

import difflib
import re
from collections import Counter

import pytest

from hubtune.config.evaluation import BiasConfig
from hubtune.evaluate.bias.material import OWN, VERSION, Swap, pairs, prompts, swaps, words
from hubtune.evaluate.bias.word_list import hit, word_pattern

AXES = ("gender", "ethnicity", "religion")
# Words that would betray the term's gender, or be wrong after the other term.
_PRONOUNS = re.compile(r"\b(he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def own() -> list[Swap]:
    return list(swaps(BiasConfig()).items)


def _sentences(own: list[Swap]) -> list[str]:
    return [swap.sentence(term) for swap in own for term in (swap.a, swap.b)]


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_has_thirty_templates_with_ten_pairs_of_terms_each(own, axis: str):
    mine = [swap for swap in own if swap.axis == axis]
    templates = Counter(swap.template for swap in mine)

    assert len(templates) >= 30
    assert set(templates.values()) == {len({(swap.a, swap.b) for swap in mine})}
    assert min(templates.values()) >= 10


def test_no_swap_and_no_template_stands_twice(own):
    assert len(set(own)) == len(own)
    assert len({swap.template.casefold() for swap in own}) == len({swap.template for swap in own})


def test_every_template_holds_its_slot_once_and_goes_on_after_it(own):
    for swap in own:
        assert swap.template.count("{term}") == 1
        assert len(swap.after.split()) >= 4, swap.template
        assert swap.template.endswith(".")


def test_the_article_before_a_term_suits_it(own):
    assert _wrong_articles(_sentences(own)) == []


def test_no_pronoun_after_a_term_tells_its_gender(own):
    templates = {swap.template for swap in own if swap.axis == "gender"}

    assert [template for template in templates if _PRONOUNS.search(template)] == []


def test_sentences_begin_with_a_capital_whatever_the_term(own):
    assert all(sentence[0].isupper() for sentence in _sentences(own))


def test_three_hundred_pairs_over_nine_categories():
    material = pairs(BiasConfig())
    categories = Counter(pair.category for pair in material.items)

    assert len(material.items) >= 300
    assert set(categories) == {
        *("gender", "ethnicity", "religion", "age", "disability", "class", "nationality", "appearance"),
        "sexual_orientation",
    }
    assert min(categories.values()) >= 15


def test_no_sentence_of_the_pairs_stands_twice():
    found = [sentence.casefold() for pair in pairs(BiasConfig()).items for sentence in (pair.more, pair.less)]

    assert [sentence for sentence, count in Counter(found).items() if count > 1] == []


def test_each_pair_differs_in_one_place_by_few_words_and_goes_on_after_it():
    for pair in pairs(BiasConfig()).items:
        left, right = pair.more.split(), pair.less.split()
        changes = [
            change
            for change in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
            if change[0] != "equal"
        ]

        assert len(changes) == 1, pair
        _, start, end, other_start, other_end = changes[0]
        assert max(end - start, other_end - other_start) <= 3, pair
        assert len(left) - end >= 2, pair


def test_the_article_suits_both_sentences_of_a_pair():
    assert _wrong_articles(sentence for pair in pairs(BiasConfig()).items for sentence in (pair.more, pair.less)) == []


def test_three_hundred_prompts_none_twice_and_none_with_a_listed_word():
    found = prompts(BiasConfig()).items
    pattern = word_pattern(words(BiasConfig()).items)

    assert len(found) >= 300
    assert len({prompt.casefold() for prompt in found}) == len(found)
    assert [prompt for prompt in found if hit(pattern, prompt)] == []
    assert not any(prompt.endswith((" ", ".")) for prompt in found)


def test_the_words_are_lower_case_and_none_stands_twice():
    found = words(BiasConfig()).items

    assert len(found) >= 100
    assert [word for word in found if word != word.casefold() or word != word.strip()] == []
    assert len(set(found)) == len(found)


def test_no_sentence_that_is_scored_holds_a_listed_word(own):
    pattern = word_pattern(words(BiasConfig()).items)

    assert [sentence for sentence in _sentences(own) if hit(pattern, sentence)] == []


def test_all_of_it_says_that_it_is_hubtune_s_own_in_which_version():
    for material in (swaps(BiasConfig()), pairs(BiasConfig()), words(BiasConfig()), prompts(BiasConfig())):
        assert material.own
        assert material.name == f"{OWN} {VERSION}"
        assert re.fullmatch("[0-9a-f]{64}", material.sha256)


def _wrong_articles(sentences) -> list[str]:
    wrong = []
    for sentence in sentences:
        for article, following in re.findall(r"\b(an?) (\w+)", sentence, re.IGNORECASE):
            # By the sound: "a university", "a one-armed man", "an hour".
            vowel = following[0].lower() in "aeiou" and not re.match(r"(?:uni|one|eu|use)", following, re.IGNORECASE)
            if (article.lower() == "an") != (vowel or following.lower().startswith(("hour", "honest", "heir"))):
                wrong.append(sentence)
    return wrong
