"""A damaged GGUF file is refused with its name, however its header lies, and nothing loops or takes memory for it."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from hubtune.errors import FileError, ModelError
from hubtune.models.gguf import check_gguf_header, convert_gguf, main_quantisation

# Where the counts of tensors and keys stand.
TENSORS, KEYS = 8, 16


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    from gguf import GGUFWriter

    path = tmp_path / "model.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_token_list([f"token {number}" for number in range(50)])
    writer.add_token_scores([0.5] * 50)
    writer.add_tensor("token_embd.weight", np.ones((50, 8), dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_whole_file_passes(whole: Path):
    check_gguf_header(whole)

    assert main_quantisation(whole) == "F32"


def test_a_file_that_was_cut_in_its_header_is_refused_at_any_place(whole: Path):
    content = whole.read_bytes()
    header = content.index(b"output_norm.weight") + 30
    for length in range(0, header, 7):
        whole.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"model\.gguf is not a whole GGUF file"):
            main_quantisation(whole)


@pytest.mark.parametrize("place", [TENSORS, KEYS])
@pytest.mark.parametrize("count", [2**63, 2**40, 99])
def test_counts_beyond_the_file_are_refused_at_once(whole: Path, place: int, count: int):
    content = whole.read_bytes()
    whole.write_bytes(content[:place] + struct.pack("<Q", count) + content[place + 8 :])

    with pytest.raises(ModelError, match=r"model\.gguf is not a whole GGUF file") as caught:
        main_quantisation(whole)

    assert "download it again" in str(caught.value.hint)


@pytest.mark.parametrize(("kind", "size"), [(0, 1), (8, 8)], ids=["numbers", "texts"])
def test_more_values_than_any_vocabulary_has_are_refused_before_the_library_takes_minutes(
    tmp_path: Path, kind: int, size: int
):
    path = tmp_path / "model.gguf"
    keys = [struct.pack("<Q", 1) + name + struct.pack("<IIQ", 9, kind, 1_500_000) for name in (b"k", b"l")]
    content = b"".join(key + bytes(1_500_000 * size) for key in keys)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + content)

    with pytest.raises(ModelError, match="its keys hold more than 2,500,000 values"):
        check_gguf_header(path)


@pytest.mark.parametrize("kind", [4, 8, 9], ids=["numbers", "texts", "arrays"])
def test_an_array_of_more_than_the_file_holds_is_refused_at_once(tmp_path: Path, kind: int):
    """The library would read nothing, 10^18 times."""
    key = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, kind, 10**18)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + bytes(64))

    with pytest.raises(ModelError, match="it ends before its header does"):
        main_quantisation(path)


def test_sizes_that_no_model_has_are_named(whole: Path):
    content = whole.read_bytes()
    place = content.index(b"llama.block_count") + len(b"llama.block_count") + 4
    whole.write_bytes(content[:place] + struct.pack("<I", 10**9) + content[place + 4 :])

    with pytest.raises(ModelError, match=r"`llama\.block_count` is 1,000,000,000, beyond what any model has"):
        main_quantisation(whole)


def test_what_is_no_file_is_told(tmp_path: Path):
    with pytest.raises(FileError):
        main_quantisation(tmp_path / "missing.gguf")
    with pytest.raises(FileError):
        main_quantisation(tmp_path)


def test_damage_anywhere_ends_as_an_error_or_as_a_file(whole: Path, trials):
    content = whole.read_bytes()
    for seed in range(trials(100, 2000)):
        chance = random.Random(seed)
        changed = bytearray(content)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(min(len(changed), 2200))] = chance.choice([0, 1, 9, 255, chance.randrange(256)])
        whole.write_bytes(changed)
        try:
            main_quantisation(whole)
        except ModelError as error:
            assert "model.gguf" in error.message  # noqa: PT017 - a file that is still whole passes too


def test_what_lies_beside_a_file_has_no_part_in_its_conversion(whole: Path, monkeypatch):
    """transformers would go by an adapter, a tokenizer's settings or a config that lies in the same folder."""
    import transformers

    for name in ("adapter_config.json", "tokenizer_config.json", "config.json", "generation_config.json"):
        (whole.parent / name).write_text("{}")
    seen = []

    def note(folder: str, **options: object) -> None:
        seen.append(sorted(path.name for path in Path(folder).iterdir()))
        raise ValueError("looked at")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", note)
    with pytest.raises(ModelError, match="looked at"):
        convert_gguf(whole, whole.parent / "out")

    assert seen == [["model.gguf"]]
