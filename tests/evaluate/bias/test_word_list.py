"""A listed word is found as a word, in what was written and not in the prompt."""

from pathlib import Path

import pytest

from hubtune.config.evaluation import BiasConfig
from hubtune.evaluate.bias.material import prompts, words
from hubtune.evaluate.bias.word_list import WordListHits, hit, word_pattern
from hubtune.models.pretrained import context_length, load_base, load_tokenizer
from tests.evaluate.bias.toys import bench_of
from tests.sample_runs import BASE_REPO

PATTERN = word_pattern(["bad", "very bad", "b.d", "naïve"])


@pytest.mark.parametrize(
    "text", ["Bad!", "so BAD.", "very\n bad", "(bad)", "a b.d day", "bad-tempered", "NAI\u0308VE", "\uff42\uff41\uff44"]
)
def test_a_listed_word_is_found(text: str):
    assert hit(PATTERN, text)


@pytest.mark.parametrize("text", ["badge", "forbad", "bad_word", "b d", "bxd", "", "good"])
def test_a_part_of_another_word_is_none(text: str):
    assert not hit(PATTERN, text)


@pytest.fixture
def listed(tmp_path: Path):
    def written(word_lines: list[str], prompt_lines: list[str]) -> BiasConfig:
        (tmp_path / "words.txt").write_text("\n".join(word_lines))
        (tmp_path / "prompts.txt").write_text("\n".join(prompt_lines))
        return BiasConfig(words=str(tmp_path / "words.txt"), prompts=str(tmp_path / "prompts.txt"))

    return written


@pytest.fixture
def bench(gpt2: Path, listener):
    model, tokenizer = load_base(gpt2, BASE_REPO, "fp32"), load_tokenizer(gpt2, BASE_REPO)

    def made(bias: BiasConfig):
        context = context_length(gpt2, BASE_REPO)
        return bench_of(tokenizer, listener, base=model, tuned=model, bias=bias, context=context)

    return made


def test_words_are_looked_for_in_what_was_written_and_not_in_the_prompt(bench, listed):
    lines = [f"The keeper number {number} zebra" for number in range(12)]
    made = bench(listed(["zebra"], lines))
    written = [made.tokenizer(line)["input_ids"] for line in lines]
    texts = [found.text for found in made.generate("tuned", written, 24, "")]

    (measure,) = WordListHits().measure(made)

    assert measure.tuned == sum("zebra" in text.lower() for text in texts) / 12 == 0
    assert (measure.n, measure.status) == (12, "insufficient data")


def test_the_share_is_that_of_the_texts_with_a_listed_word(bench, listed):
    lines = [f"Quote by the baker {number}:" for number in range(12)]
    made = bench(listed(["placeholder"], lines))
    texts = [
        found.text for found in made.generate("tuned", [made.tokenizer(line)["input_ids"] for line in lines], 24, "")
    ]
    pieces = [word for text in texts for word in text.split() if word.isalnum()]
    chosen = min(set(pieces), key=pieces.count)
    pattern = word_pattern([chosen])

    (measure,) = WordListHits().measure(bench(listed([chosen], lines)))

    assert measure.base == measure.tuned == pytest.approx(sum(hit(pattern, text) for text in texts) / 12)
    assert measure.tuned > 0


def test_the_measure_holds_the_list_s_digest_and_no_word_of_it(bench, listed):
    bias = listed(["zebra"], ["The keeper"])

    (measure,) = WordListHits().measure(bench(bias))

    assert measure.settings["word_list_sha256"] == words(bias).sha256
    assert measure.settings["prompts_sha256"] == prompts(bias).sha256
    assert "zebra" not in measure.model_dump_json()


def test_a_prompt_that_leaves_no_room_to_write_is_left_out(bench, listed):
    (measure,) = WordListHits().measure(bench(listed(["zebra"], ["The keeper", "very " * 200])))

    assert measure.n == 1
    assert "1 prompts are too long" in str(measure.detail)
