"""A batch is padded on the right and masked by position, never by token."""

from pathlib import Path

from hubtune.data.batch import collate
from hubtune.data.tokenization import IGNORED, Example
from hubtune.models.pretrained import load_tokenizer, pad_id
from tests.encoding import encode

EOS = 0
EXAMPLES = [Example("ab", [5, 6, EOS], [5, 6, EOS], False), Example("a", [5, EOS], [5, EOS], False)]


def test_rows_are_padded_to_the_longest_on_the_right():
    batch = {name: values.tolist() for name, values in collate(EXAMPLES, 9).items()}

    assert batch == {
        "input_ids": [[5, 6, EOS], [5, EOS, 9]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "labels": [[5, 6, EOS], [5, EOS, IGNORED]],
    }


def test_a_row_s_own_eos_carries_loss_where_padding_is_eos():
    batch = collate(EXAMPLES, EOS)

    assert batch["labels"].tolist() == [[5, 6, EOS], [5, EOS, IGNORED]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_the_tokenizer_without_padding_token_pads_with_eos_and_learns_to_stop(gpt2: Path):
    tokenizer = load_tokenizer(gpt2, "org/base")
    examples = encode(["The baker", "The baker rises before the bread does."], tokenizer, 64)

    batch = collate(examples, pad_id(tokenizer))

    for row, example in enumerate(examples):
        labels = batch["labels"][row].tolist()
        assert labels[len(example.input_ids) - 1] == tokenizer.eos_token_id
        assert set(labels[len(example.input_ids) :]) <= {IGNORED}


def test_the_labels_of_a_masked_part_stay_masked():
    batch = collate([Example("ab", [5, 6, EOS], [IGNORED, 6, EOS], False)], EOS)

    assert batch["labels"].tolist() == [[IGNORED, 6, EOS]]
