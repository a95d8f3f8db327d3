"""A tokenizer whose steps would fill the memory, or never end, is refused before it is loaded."""

import base64
import json
import shutil
from pathlib import Path

import pytest
from tokenizers import decoders, normalizers, pre_tokenizers, processors

from hubtune.errors import ModelError
from hubtune.models.pretrained import load_tokenizer
from hubtune.models.tokenizer_file import SECTIONS, check_steps


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "base"))


def _replace(found: str, put: str, kind: str = "String") -> dict[str, object]:
    return {"type": "Replace", "pattern": {kind: found}, "content": put}


def _in_sequence(key: str, *steps: object) -> dict[str, object]:
    return {"type": "Sequence", key: [*steps]}


A = {"Sequence": {"id": "A", "type_id": 0}}
B = {"Sequence": {"id": "B", "type_id": 1}}
SPECIAL = {"SpecialToken": {"id": "<s>", "type_id": 0}}


def _template(*single: object, ids: int = 1) -> dict[str, object]:
    tokens = {"<s>": {"id": "<s>", "ids": [1] * ids, "tokens": ["<s>"] * ids}}
    return {"type": "TemplateProcessing", "single": [*single], "pair": [A, B], "special_tokens": tokens}


def _charsmap(longest: int) -> dict[str, object]:
    trie = bytes(8)
    content = len(trie).to_bytes(4, "little") + trie + b"a\0" + b"x" * longest + b"\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
ENDLESS = {
    "doubled": {"normalizer": _in_sequence("normalizers", *[_replace("e", "ee")] * 36)},
    "doubled, the kind left out": {"normalizer": {"normalizers": [{"pattern": {"String": "e"}, "content": "ee"}] * 36}},
    "by an expression": {"normalizer": _in_sequence("normalizers", *[_replace(".", "aaaa", "Regex")] * 9)},
    "one long text": {"normalizer": _replace("e", "x" * 20_000)},
    "before each text": {"normalizer": {"type": "Prepend", "prepend": "x" * 20_000}},
    "a map of characters": {"normalizer": _charsmap(20_000)},
    "two forms in turn": {"normalizer": _in_sequence("normalizers", *[_replace(" ", "ﷺ"), {"type": "NFKD"}] * 10)},
    "bytes of bytes": {"pre_tokenizer": _in_sequence("pretokenizers", *[BYTES] * 30)},
    "an empty text": {"decoder": _in_sequence("decoders", BYTES, _replace("", "aaaa"))},
    "an empty mark": {"decoder": _in_sequence("decoders", *[{"type": "BPEDecoder", "suffix": ""}] * 30)},
    "many steps": {"normalizer": _in_sequence("normalizers", *[{"type": "StripAccents"}] * 300)},
    "many special tokens": {"post_processor": _template(*[SPECIAL] * 150, A)},
    "many ids of a special token": {"post_processor": _template(SPECIAL, SPECIAL, A, ids=600)},
    "the text twice": {"post_processor": _template(A, A)},
}


@pytest.mark.parametrize("edit", ENDLESS.values(), ids=ENDLESS)
def test_steps_that_multiply_a_text_are_refused_before_the_tokenizer_is_loaded(copy: Path, edit: dict[str, object]):
    file = copy / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **edit}))

    with pytest.raises(ModelError, match=f"`{next(iter(edit))}` in tokenizer.json of org/base") as refused:
        load_tokenizer(copy, "org/base")

    assert refused.value.hint


@pytest.mark.parametrize(
    "edit",
    [
        {"continuing_subword_prefix": "#" * 1_000},
        {"max_input_chars_per_word": 10**9},
        {"vocab": {"<unk>": 0, "x" * 100_000: 1}},
        {"vocab": [["<unk>", 0.0], ["x" * 100_000, -1.0]]},
    ],
    ids=["prefix", "word", "token", "piece"],
)
def test_a_vocabulary_with_endless_parts_is_refused(copy: Path, edit: dict[str, object]):
    file = copy / "tokenizer.json"
    stated = json.loads(file.read_text())
    stated["model"] |= edit
    file.write_text(json.dumps(stated))

    with pytest.raises(ModelError, match=r"`model` in tokenizer\.json of org/base"):
        load_tokenizer(copy, "org/base")


def test_a_file_that_replaces_tokenizer_json_for_some_versions_is_looked_at_too(copy: Path):
    stated = json.loads((copy / "tokenizer.json").read_text())
    (copy / "tokenizer.4.0.0.json").write_text(json.dumps({**stated, **ENDLESS["doubled"]}))

    with pytest.raises(ModelError, match=r"`normalizer` in tokenizer\.4\.0\.0\.json of org/base"):
        load_tokenizer(copy, "org/base")


def test_no_file_of_another_folder_replaces_tokenizer_json(copy: Path):
    settings = copy / "tokenizer_config.json"
    stated = json.loads(settings.read_text())
    settings.write_text(json.dumps({**stated, "fast_tokenizer_files": ["other/tokenizer.4.0.0.json"]}))

    with pytest.raises(ModelError, match="names a file as its `fast_tokenizer_files`"):
        load_tokenizer(copy, "org/base")


USUAL = {
    "GPT-2": (None, pre_tokenizers.ByteLevel(), decoders.ByteLevel(), processors.ByteLevel()),
    "Llama": (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        None,
        decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        ),
        processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 1)]),
    ),
    "BERT": (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
        processors.BertProcessing(("[SEP]", 1), ("[CLS]", 2)),
    ),
    "ALBERT": (
        normalizers.Sequence(
            [
                normalizers.Replace("``", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                normalizers.Replace(" {2,}", " "),
            ]
        ),
        pre_tokenizers.Metaspace(),
        decoders.Metaspace(),
        None,
    ),
}


@pytest.mark.parametrize("parts", USUAL.values(), ids=USUAL)
def test_steps_of_the_usual_tokenizers_pass(parts):
    stated = {
        section: json.loads(part.__getstate__()) if part is not None else None
        for section, part in zip(SECTIONS, parts, strict=True)
    }

    check_steps(stated, "the tokenizer of org/base")


def test_a_map_of_characters_like_that_of_t5_passes():
    steps = [_charsmap(18), _replace(" {2,}", "▁", "Regex")]
    normalizer = _in_sequence("normalizers", *steps)

    check_steps({"normalizer": normalizer, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁"}}, "a tokenizer")


def test_a_tokenizer_that_knows_only_special_tokens_is_refused(copy: Path):
    file = copy / "tokenizer.json"
    stated = json.loads(file.read_text())
    special = {entry["content"]: entry["id"] for entry in stated["added_tokens"]}
    stated["model"] = {"type": "WordLevel", "vocab": special, "unk_token": next(iter(special))}
    file.write_text(json.dumps(stated))

    with pytest.raises(ModelError, match="The tokenizer of org/base has no vocabulary"):
        load_tokenizer(copy, "org/base")


def test_a_pair_of_tokenizers_is_refused(copy: Path):
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").write_text('{"tokenizer_class": "RagTokenizer"}')
    config = copy / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "tokenizer_class": "RagTokenizer"}))

    with pytest.raises(ModelError, match="is of the class RagTokenizer, which holds several tokenizers"):
        load_tokenizer(copy, "org/base")
