import pytest

from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES, IgnorePatterns, LargePatterns, mark_large
from hubtune.localhub.pointers import Pointer


@pytest.mark.parametrize("path", ["model.safetensors", "a/b/data.parquet", "events.out.tfevents.1", "saved_model/v/x"])
def test_a_new_repo_sends_binary_formats_to_the_large_files(path):
    assert LargePatterns(NEW_REPO_ATTRIBUTES).match(path)


@pytest.mark.parametrize("path", ["README.md", "config.json", "data.jsonl", "tokenizer.json", "bin/run.sh"])
def test_a_new_repo_keeps_text_in_git(path):
    assert not LargePatterns(NEW_REPO_ATTRIBUTES).match(path)


@pytest.mark.parametrize("path", ["plain", "two words", "a/b*c", "x[1]", "#note", "!bang", "back\\slash", "ü"])
def test_a_marked_path_is_large_and_no_other_is(path):
    patterns = LargePatterns(mark_large(b"*.bin filter=lfs", [path]))
    assert patterns.match(path)
    assert patterns.match("a.bin")
    assert not patterns.match(f"sub/{path}")
    assert not patterns.match("b/c")


def test_the_last_ignore_pattern_wins():
    patterns = IgnorePatterns(b"*.log\n!keep.log\n/build/\n")
    ignored = [path for path in ("a.log", "keep.log", "build/x", "src/build/x") if patterns.match(path)]
    assert ignored == ["a.log", "build/x"]


def test_a_pointer_reads_back_and_other_text_is_none():
    pointer = Pointer("a" * 64, 12)
    assert Pointer.decode(pointer.encode()) == pointer
    for other in (b"", pointer.encode()[:-1], pointer.encode() + b"x", pointer.encode().replace(b"12", b"012")):
        assert Pointer.decode(other) is None
