import json
import random
import subprocess
from pathlib import Path

import pytest

from hubtune.localhub import git_patterns
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.attributes import NEW_REPO_ATTRIBUTES, IgnorePatterns, LargePatterns, mark_large
from hubtune.localhub.git_objects import Pointer


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


# What patterns and names are made of, so that they often fit one another.
WORDS = ["a", "b", "ab", "a.b", "x y", "!a", "#b", "b ", "[a]", "a*b", "-", "a]", "é", "\\a"]
PIECES = [
    "a", "b", ".", "*", "**", "***", "?", "/", "/", "/**/", "**/", "/**", "[ab]", "[!a]", "[^a]", "[a-c]", "[]a]",
    "[!]a]", "[a-", "[[:alpha:]]", "[[:space:]]", "[[:none:]]", "[[:a]", "[\\]]", "[a\\-c]", "[--b]", "[/]", "\\a",
    "\\*", "\\", "\\/", "\\[", " ", "\\ ", "!", "#", "-", "é", "x y", "\t", '"', "[", "b ",
]  # fmt: skip
ATTRIBUTES = ["filter=lfs", "-filter", "!filter", "filter", "text", "filter=lfs -text", "filter=x filter=lfs", "big"]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A git repository with files of many names, in folders up to three deep."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    rng = random.Random(20)
    for _ in range(80):
        path = tmp_path.joinpath(*rng.choices(WORDS, k=rng.randint(1, 4)))
        if not any(parent.is_file() for parent in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path


def asked_of_git(checkout: Path, paths: list[str], *command: str) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(checkout), "-c", "core.excludesFile=/dev/null", *command, "-z", "--stdin"],
        input="".join(f"{path}\0" for path in paths).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.decode().split("\0")


def files_in(checkout: Path) -> list[str]:
    found = (path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file())
    paths = sorted(path for path in found if not path.startswith(".git"))
    assert len(paths) > 20
    return paths


def test_paths_are_ignored_as_git_ignores_them(checkout, trials):
    rng, paths = random.Random(21), files_in(checkout)
    for _ in range(trials(25, 2000)):
        lines = ["".join(rng.choices(PIECES, k=rng.randint(1, 6))) for _ in range(rng.randint(1, 4))]
        lines = [f"!{line}" if rng.random() < 0.25 else line for line in lines]
        text = "\n".join(lines) + rng.choice(["", "\n", "\r\n"])
        (checkout / ".gitignore").write_bytes(text.encode())
        expected = asked_of_git(checkout, paths, "check-ignore", "--no-index")
        patterns = IgnorePatterns(text.encode())
        assert [path for path in paths if patterns.match(path)] == expected[:-1], text


def test_paths_are_large_as_git_reads_the_attributes(checkout, trials):
    rng, paths = random.Random(22), files_in(checkout)
    for _ in range(trials(25, 2000)):
        text = "[attr]big filter=lfs\n"
        for _ in range(rng.randint(1, 4)):
            pattern = "".join(rng.choices(PIECES, k=rng.randint(1, 5)))
            if rng.random() < 0.3:
                pattern = json.dumps(pattern, ensure_ascii=False)
            text += f"{pattern} {rng.choice(ATTRIBUTES)}\n"
        (checkout / ".gitattributes").write_bytes(text.encode())
        told = asked_of_git(checkout, paths, "check-attr", "filter")
        expected = [path for path, value in zip(told[0::3], told[2::3], strict=False) if value == "lfs"]
        patterns = LargePatterns(text.encode())
        assert [path for path in paths if patterns.match(path)] == expected, text


def test_thousands_of_marked_paths_with_spaces_are_matched():
    paths = [f"folder {n}/of \u00fc/large file {n}.x" for n in range(8000)]
    patterns = LargePatterns(mark_large(NEW_REPO_ATTRIBUTES, paths))
    assert all(map(patterns.match, paths))
    assert not patterns.match("folder 1/of \u00fc/large file 2.x")
    assert not patterns.match("folder-1/of \u00fc/large file 1.x")


@pytest.mark.parametrize(
    "path", ["two words", "/ a\tb", '"q" r', "back\\slash and space", "x [1]*?", "é ü", "no\u00a0break"]
)
def test_git_takes_a_marked_path_for_large_too(checkout, path):
    path = path.strip("/")
    (checkout / ".gitattributes").write_bytes(mark_large(b"", [path]))
    assert asked_of_git(checkout, [path, "two", "q"], "check-attr", "filter")[2::3] == [
        "lfs",
        "unspecified",
        "unspecified",
    ]
    assert LargePatterns(mark_large(b"", [path])).match(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"*a" * 2000 + b"b", "a" * 255),
        (b"**/a/" * 200 + b"b", "/".join(["a"] * 200)),
        (b"*?*?*[a-z]" * 100 + b"!", "a" * 4000),
        (b"/**" * 300 + b"/b", "a/" * 300 + "a"),
        (b"[" + b"[:" * 2000 + b"x]", "a" * 255),
    ],
)
def test_patterns_that_have_many_ways_to_match_are_matched_at_once(text, path):
    # A matcher that goes back would not end in the lifetime of this test.
    assert not IgnorePatterns(text).match(path)
    assert not LargePatterns(text + b" filter=lfs").match(path)


@pytest.mark.parametrize("text", [b"*" + b"a" * 5000, b"*a*b*c\n" * 50_000, b"[a-z]\n" * 5000, b"a\n" * (1 << 20)])
def test_more_than_can_be_matched_is_refused_with_the_name_of_the_file(text):
    with pytest.raises(ApiError, match=r"\.gitignore") as error:
        IgnorePatterns(text)
    assert error.value.status == 413


def test_the_work_for_all_paths_together_is_bounded(monkeypatch):
    monkeypatch.setattr(git_patterns, "_MOST_WORK", 1 << 20)
    patterns = IgnorePatterns(b"*x*y*z\n" * 100)
    with pytest.raises(ApiError, match="Send fewer"):
        [patterns.match("q" * 200) for _ in range(100)]
