"""The readers of YAML and JSON that somebody else wrote."""

import ast
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import hubtune
from hubtune.documents import (
    HAND_WRITTEN,
    Bounds,
    UnreadableError,
    check_yaml_stream,
    load_json,
    load_yaml,
    parse_json_object,
    parse_yaml,
    read_json,
    read_yaml,
)
from hubtune.errors import ConfigError, DocumentError

NINES = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else ['1'] * 9)}]" for n in range(9))
MERGES = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9 if n else ['{b: 1}'] * 9)}]}}" for n in range(9))

HOSTILE_YAML = {
    "aliases that multiply": NINES,
    "merges that multiply": MERGES,
    "a list that contains itself": "a: &a [*a]",
    "a mapping that contains itself": "&a {b: *a}",
    "a key that contains itself": "&a {? *a : 1}",
    "deep lists": "[" * 50_000,
    "deep mappings": "{a: " * 50_000,
    "deep blocks": "- " * 50_000,
    "a number of 5,000 digits": f"a: {'9' * 5000}",
    "a number in base 60": f"a: 1{':1' * 50_000}",
    "a number in base 16": f"a: 0x{'f' * 100_000}",
    "an impossible date": "a: 2026-99-99",
    "an impossible time": "a: 2026-01-01 99:99:99",
    "a number that is none": "a: !!int word",
    "a date that is none": "a: !!timestamp word",
    "a key that is a list": "? [a]\n: 1",
    "a Python object": "a: !!python/object/apply:os.system [true]",
    "an unknown tag": "a: !secret b",
    "two documents": "a: 1\n---\nb: 2",
    "an alias of nothing": "a: *b",
    "a tab": "a:\n\t- b",
    "half JSON": '{"a":',
    "too much": "a: " + "x" * HAND_WRITTEN.size,
    "NUL": "a: \0",
}
HOSTILE_JSON = {
    "nothing": "",
    "half": '{"a":',
    "HTML": "<html></html>",
    "deep": "[" * 100_000,
    "deep and whole": "[" * 102 + "]" * 102,
    "a number of 5,000 digits": f'{{"a": {"9" * 5000}}}',
    "half a character": '{"a": "\\ud800"}',
    "half a character as a key": '{"\\udfff": 1}',
    "too much": '"' + "x" * (64 << 20) + '"',
}


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_yaml_beyond_the_bounds_is_one_named_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^The file x.yaml (is|holds) .*\.$") as caught:
        parse_yaml(text, "The file x.yaml", error=ConfigError, hint="Mend it.")
    assert caught.value.hint == "Mend it."


@pytest.mark.parametrize("text", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_json_beyond_the_bounds_is_one_named_error(text: str) -> None:
    with pytest.raises(DocumentError, match=r"^config.json of org/x (is|holds) .*\.$"):
        parse_json_object(text.encode(), "config.json of org/x")


@pytest.mark.parametrize("text", ["[]", '"a"', "1", "null"])
def test_json_that_is_no_object_is_refused_where_one_is_needed(text: str) -> None:
    with pytest.raises(DocumentError, match="does not hold a JSON object"):
        parse_json_object(text, "config.json")


def test_a_fault_of_yaml_names_its_line() -> None:
    with pytest.raises(UnreadableError) as caught:
        load_yaml("a: 1\nb: c: d\ne: 2\n")
    assert caught.value.line == 2


def test_a_date_that_does_not_exist_is_named_with_its_line_and_what_to_do() -> None:
    with pytest.raises(UnreadableError, match=r"'2026-99-99', which YAML takes .*in quotes.*\(line 2\)"):
        load_yaml("a: 1\nb: 2026-99-99\n")


def test_what_people_write_is_read() -> None:
    text = "\ufeffbase: &base {repo: a/b, n: 1_000}\nother:\n  <<: *base\n  day: 2026-02-28\nlist: [*base, *base]\n"
    value = parse_yaml(text.encode(), "x")
    assert value == yaml.safe_load(text.removeprefix("\ufeff"))
    assert load_json('\ufeff{"a": [1, 2.5, NaN, null, "ä"], "a": []}'.encode()) == {"a": []}
    assert load_yaml("# nothing") is None
    check_yaml_stream("a: !any 1\n---\nb: 2\n")


def test_text_in_another_encoding_is_named_with_its_first_byte() -> None:
    for read in (load_yaml, load_json):
        with pytest.raises(UnreadableError, match="not UTF-8: the first byte that is not is byte 5"):
            read(b'"caf\xe9"')


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_only_regular_files_are_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("1")
    for name in ("pipe", ".", "loop", "absent", "file/below", "x" * 300):
        with pytest.raises(DocumentError, match=name if name != "." else tmp_path.name) as caught:
            read(tmp_path / name)
        assert caught.value.hint
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(DocumentError, match="is a device, not a file"):
            read(Path(device))
    assert read(tmp_path / "file") == 1


def test_a_file_beyond_the_bounds_is_refused_unread(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DocumentError, match=r"large.json is larger than 0.000954 MiB"):
        read_json(large, bounds=Bounds(size=1000))


READERS = {
    "json": {"load", "loads", "JSONDecoder"},
    "yaml": {"load", "load_all", "safe_load", "safe_load_all", "full_load", "unsafe_load", "compose", "compose_all",
             "parse", "scan"},
    "tomllib": {"load", "loads"},
}  # fmt: skip
# Who reads without the bounds, and why it may.
ALLOWED = {
    "documents.py": "the bounded readers",
    "data/json_values.py": "rows, with bounds of their own",
    "verify/release_documents.py": "looks at the tokens of a text that was read within bounds",
    "models/checkpoint.py": "the header of a file that safetensors has checked",
    "localhub/api/repo_routes.py": "a short part of an address, whose every error is a bad request",
    "card/lint/rules/snippets.py": "examples of a card, up to a length, whose every error is a finding",
    "templating/chat_worker.py": "what hubtune asks its own process",
    "templating/chat.py": "what its own process answers",
    "pipeline/launch_reports.py": "what a process of hubtune's own writes",
    "card/custom_template_worker.py": "what hubtune asks its own process",
    "card/licensing/rules.py": "a file of hubtune's",
    "cli/output.py": "a text that hubtune made",
    "train/methods/method.py": "a file that peft wrote a moment ago",
    "models/pretrained.py": "a file that transformers wrote a moment ago",
}


def test_whatever_somebody_else_wrote_is_read_within_bounds() -> None:
    sources = Path(hubtune.__file__).parent
    found = set()
    for path in sources.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # Parsing them all takes seconds.
        for node in ast.walk(ast.parse(text)) if any(name in text for name in READERS) else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.attr in READERS.get(node.value.id, ()):
                    found.add(path.relative_to(sources).as_posix())
            elif isinstance(node, ast.ImportFrom) and node.module in READERS:
                assert not READERS[node.module] & {name.name for name in node.names}, path
    assert found <= set(ALLOWED)
    assert "documents.py" in found


PIECES = ["[", "]", "{", "}", ":", ",", "- ", "\n", " ", "&a ", "*a", "<<: ", "? ", '"', "'", "!!int ", "!x ", "|", ">"]
PIECES += ["---\n", "...\n", "2026-99-99", "9" * 500, "1e999", "0x", "1:1", "\\ud800", "\x00", "\ufeff", "\u2028", "%"]
JUNK = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=60).map("".join)


@pytest.mark.parametrize("parse", [parse_yaml, parse_json_object])
def test_any_text_is_a_value_or_one_kind_of_error(
    parse: Callable[..., object], trials: Callable[[int, int], int]
) -> None:
    @settings(max_examples=trials(100, 2000))
    @given(st.one_of(JUNK.map(str.encode), st.binary(max_size=80)))
    def check(content: bytes) -> None:
        with suppress(DocumentError):
            parse(content, "x")

    check()
