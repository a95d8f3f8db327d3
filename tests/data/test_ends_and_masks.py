"""Where rows begin and end, and what carries loss: faults that people met in tools like this, made impossible."""

import json
from pathlib import Path

import pytest

from hubtune.data.batch import collate
from hubtune.data.segments import DropReason
from hubtune.data.tokenization import IGNORED, Encoder, Example
from hubtune.models.pretrained import load_tokenizer, pad_id
from tests.data.conftest import chat, learnt, written
from tests.tiny_tokenizers import CHATML, KINDS, WITH_GENERATION

FORMATS = {
    "text": ({"text": "Oil is a virtue."}, {}),
    "template": ({"who": "a sweep", "what": "Oil is a virtue."}, {"template": "{who}: {what}"}),
    "template, its end": (
        {"who": "a sweep", "what": "Oil is a virtue."},
        {"template": "{who}: {what}", "loss_on": "completion"},
    ),
    "prompt_completion": ({"prompt": "Oil is", "completion": " a virtue."}, {}),
    "prompt_completion, all": ({"prompt": "Oil is", "completion": " a virtue."}, {"loss_on": "all"}),
    "instruction": ({"instruction": "Say it.", "input": "oil", "output": "A virtue."}, {}),
    "chat": (chat(("user", "Oil?"), ("assistant", "A virtue.")), {"chat_template": CHATML}),
    "chat with generation": (chat(("user", "Oil?"), ("assistant", "A virtue.")), {"chat_template": WITH_GENERATION}),
}


@pytest.fixture(params=list(FORMATS))
def any_row(request: pytest.FixtureRequest):
    return FORMATS[request.param]


def test_where_padding_is_eos_the_row_s_own_eos_carries_loss_and_padding_does_not(each, encoded, any_row):
    row, values = any_row
    short = encoded(row, each, **values)
    longer = encoded({"text": "Oil is a virtue by the drop and a vice by the spoonful. " * 12}, each)

    labels = collate([short, longer], each.eos_token_id)["labels"][0].tolist()

    assert labels[: len(short.labels)] == short.labels
    assert set(labels[len(short.labels) :]) == {IGNORED}


def test_the_last_label_of_every_row_is_what_ends_it(each, encoded, any_row):
    row, values = any_row

    example = encoded(row, each, **values)

    # A chat template's own token may end the turn, in the vocabulary of the one kind that has it.
    endings = {each.eos_token_id, each.convert_tokens_to_ids("<|im_end|>")}
    assert example.labels[-1] == example.input_ids[-1]
    assert example.labels[-1] in endings


def test_the_last_label_of_a_row_cut_anywhere_is_what_ends_it(each, any_row):
    row, values = any_row
    endings = {each.eos_token_id, each.convert_tokens_to_ids("<|im_end|>")}
    segments = written(row, each, **values)

    for limit in range(10, 40):
        (found,) = Encoder(each, limit).encode([segments])
        if isinstance(found, Example):
            assert len(found.input_ids) <= limit
            assert found.labels[-1] == found.input_ids[-1]
            assert found.labels[-1] in endings
        else:
            assert found.reason is DropReason.NO_ROOM


@pytest.mark.parametrize("template", ["{text}", "<s>{text}", "<s><s>{text}", "<s>{text}</s></s>"])
def test_exactly_one_bos_and_one_eos_whatever_template_and_tokenizer_add(tokenizers, encoded, template: str):
    llama = tokenizers["llama"]

    example = encoded({"text": "Oil is a virtue."}, llama, template=template)

    assert llama.decode(example.input_ids[1:-1]) == "Oil is a virtue."
    assert (example.input_ids[0], example.input_ids[-1]) == (llama.bos_token_id, llama.eos_token_id)
    assert example.input_ids.count(llama.bos_token_id) == example.input_ids.count(llama.eos_token_id) == 1


@pytest.mark.parametrize("start", ["", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"])
def test_exactly_one_bos_whatever_chat_template_and_tokenizer_add(tokenizers, encoded, start: str):
    llama = tokenizers["llama"]

    example = encoded(
        chat(("user", "Oil? <s>"), ("assistant", "A virtue.")), llama, chat_template=start + WITH_GENERATION
    )

    assert example.input_ids[0] == llama.bos_token_id
    assert example.input_ids.count(llama.bos_token_id) == 1


@pytest.mark.parametrize("start", ["", "{{ bos_token or '' }}", "{{ (bos_token or '') * 2 }}"])
def test_every_kind_of_tokenizer_begins_a_row_at_most_once(each, encoded, start: str):
    example = encoded(chat(("user", "Oil?"), ("assistant", "A virtue.")), each, chat_template=start + WITH_GENERATION)

    bos = each.bos_token_id
    begun = next((place for place, token in enumerate(example.input_ids) if token != bos), 0)
    # GPT-2's tokenizer puts nothing before a text, so there a row begins with BOS where its template says so.
    assert begun == (bos is not None and (bos != each.eos_token_id or bool(start)))


@pytest.mark.parametrize("start", ["", "{{ bos_token }}"])
def test_a_tokenizer_without_bos_gets_none(tokenizers, encoded, start: str):
    qwen = tokenizers["qwen"]

    example = encoded(chat(("user", "Oil?"), ("assistant", "A virtue.")), qwen, chat_template=start + CHATML)

    assert qwen.convert_ids_to_tokens(example.input_ids[0]) == "<|im_start|>"


@pytest.mark.parametrize("marker", ["\n### Response:", " [/INST]", "\nassistant", ":", "ans", ""])
@pytest.mark.parametrize("answer", [" a virtue", "a virtue", "\na virtue", "é😀", "### Response: a virtue", "  x"])
def test_the_mask_follows_characters_however_a_response_marker_is_tokenised(each, encoded, marker: str, answer: str):
    """The marker, the answer and the spacing between them join to other tokens in context than alone."""
    prompt = f"Oil is{marker}"

    example = encoded({"prompt": prompt, "completion": answer}, each)

    place = next(number for number, label in enumerate(example.labels) if label != IGNORED)
    assert all(label == IGNORED for label in example.labels[:place])
    assert example.labels[place:] == example.input_ids[place:]
    if each.cls_token is not None:
        # Word segments have no spacing, so that prompt and answer may be one word.
        return
    # What is asked at inference is what stands before the answer in training, but for a token that reaches into both.
    asked = each(prompt)["input_ids"]
    asked = asked[:-1] if asked[-1] == each.eos_token_id else asked
    assert example.input_ids[: place - 1] == asked[: place - 1]
    assert place in (len(asked), len(asked) - 1)
    if answer.startswith("\n"):
        assert place == len(asked)


def test_a_chat_s_mask_is_that_of_the_template_s_own_generation_marks(each, encoded):
    row = chat(("user", "Oil?"), ("assistant", "A virtue."), ("user", "More"), ("assistant", "By the drop."))

    example = encoded(row, each, chat_template=WITH_GENERATION)

    given = learnt(example, each).lower()
    assert given.count(each.eos_token.lower()) == 2
    assert "oil" not in given
    assert "more" not in given
    for answer in ("virtue", "drop"):
        assert answer in given


@pytest.mark.parametrize("kind", KINDS)
def test_preparing_rows_leaves_the_tokenizer_as_it_was(tmp_path: Path, encoded, kind: str):
    tokenizer = KINDS[kind]()
    tokenizer.save_pretrained(tmp_path / "before")

    for row, values in FORMATS.values():
        encoded(row, tokenizer, 16 if "text" in row else 500, **values)
    tokenizer.save_pretrained(tmp_path / "after")

    for path in (tmp_path / "before").iterdir():
        assert path.read_bytes() == (tmp_path / "after" / path.name).read_bytes()


def test_a_row_whose_response_would_be_cut_off_whole_is_refused(each, refused, encoded):
    row = {"prompt": "Oil is a virtue by the drop", "completion": " and a vice by the spoonful."}
    example = encoded(row, each)
    place = next(number for number, label in enumerate(example.labels) if label != IGNORED)

    fault = refused(row, each, place + 1)

    assert fault.reason is DropReason.NO_ROOM
    assert encoded(row, each, place + 2).labels[place:] == [example.input_ids[place], each.eos_token_id]


def test_special_tokens_of_a_template_count_and_those_in_its_data_are_text(tokenizers, encoded):
    qwen = tokenizers["qwen"]
    template = "<|im_start|>{ask}<|im_end|><|im_start|>{answer}<|im_end|>"

    example = encoded({"ask": "a <|im_end|> b", "answer": "c <|im_start|>"}, qwen, template=template)

    special = [qwen.convert_ids_to_tokens(token) for token in example.input_ids if token in qwen.all_special_ids]
    started = qwen.convert_tokens_to_ids("<|im_start|>")
    assert example.input_ids.count(started) == 2
    assert special.count("<|im_end|>") == 2
    assert qwen.decode(example.input_ids) == template.format(ask="a <|im_end|> b", answer="c <|im_start|>")


def test_rows_are_padded_on_the_right_whatever_side_the_tokenizer_prefers(tmp_path: Path, encoded):
    KINDS["qwen"]().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "padding_side": "left"}))
    tokenizer = load_tokenizer(tmp_path, "org/base")
    rows = [encoded({"text": text}, tokenizer) for text in ("Oil", "Oil is a virtue by the drop")]

    batch = collate(rows, pad_id(tokenizer))

    assert batch["input_ids"][0, : len(rows[0].input_ids)].tolist() == rows[0].input_ids
    assert batch["attention_mask"][0].tolist()[-1] == 0
