"""The config of a release may come from anybody: it names no place on this machine, and no file is opened for it."""

import pytest

from hubtune.config.load import (
    dump_config,
    local_files,
    parse_config,
    read_published,
    require_none_of_release,
    without_folders,
)
from hubtune.errors import ConfigError, HubtuneError, ReleaseError

MINIMAL = "base: {repo: org/base}\ndata: [{repo: org/quotes, text: quote}]\n"
FILES = """
base: {repo: org/base}
data: [{repo: org/quotes, text: quote}, {path: /home/ann/diary.jsonl, text: quote}]
earlier: {data: [{path: /home/ann/before.csv, text: quote}]}
evaluate: {bias: {templates: /srv/t.yaml, pairs: /srv/p.csv, words: /srv/w.txt, prompts: /srv/q.txt}}
card: {templates: /home/ann/sections}
"""
KEYS = ["data[1].path", "earlier.data[0].path", "card.templates"] + [
    f"evaluate.bias.{key}" for key in ("templates", "pairs", "words", "prompts")
]


def test_what_hubtune_publishes_is_read_with_the_bare_names_of_files():
    config = without_folders(parse_config(FILES))

    assert read_published(dump_config(config), "it") == config
    assert list(local_files(config)) == KEYS
    assert local_files(config)["data[1].path"] == "diary.jsonl"


@pytest.mark.parametrize("key", ["data", "earlier"])
def test_a_release_does_not_have_thousands_of_data_sets_asked_for(key: str):
    many = "[" + ", ".join(f"{{repo: org/d{number}, text: a}}" for number in range(3000)) + "]"
    more = f"earlier: {{data: {many}}}\n" if key == "earlier" else ""
    text = MINIMAL.replace("[{repo: org/quotes, text: quote}]", many) if key == "data" else MINIMAL + more

    with pytest.raises(ConfigError) as caught:
        read_published(text, "records/config.yaml of org/model")

    assert any(key in line and "at most 500 items" in line for line in caught.value.details)


@pytest.mark.parametrize("name", ["rows: 2.csv", "$rows.csv", "~rows.csv", "..rows.csv"])
def test_a_file_of_any_name_can_be_published_and_read_again(name: str):
    config = without_folders(parse_config(MINIMAL, [f'data[0]={{path: "/srv/{name}", text: quote}}']))

    assert local_files(read_published(dump_config(config), "it")) == {"data[0].path": name}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", ["/home/me/diary.jsonl", "../diary.jsonl", "~/d.csv", "C:\\d.csv", "sub/d.csv", ".."])
def test_a_place_on_a_disk_is_refused_with_its_key(key: str, place: str):
    text = dump_config(without_folders(parse_config(FILES)))
    bare = local_files(without_folders(parse_config(FILES)))[key]
    assert text.count(f" {bare}\n") == 1

    with pytest.raises(ReleaseError) as caught:
        read_published(text.replace(f" {bare}\n", f" '{place}'\n"), "records/config.yaml of org/model")

    assert f"records/config.yaml of org/model names a place on a disk: {key} is {place!r}" in caught.value.message


@pytest.mark.parametrize("key", [key for key in KEYS if key != "card.templates"])
def test_a_file_is_not_opened_because_a_release_names_it_and_the_key_is_said(key: str):
    config = without_folders(parse_config(FILES))
    others = [f"{other}=mine" for other in KEYS if other != key]

    with pytest.raises(ReleaseError) as caught:
        require_none_of_release(config, "org/model", given=others)

    assert f"org/model names a local file, {key}: " in caught.value.message
    assert f"-s {key}=FILE" in str(caught.value.hint)
    assert ("--data FILE" in str(caught.value.hint)) == key.endswith("path")


def test_what_whoever_reads_a_release_names_is_theirs():
    config = without_folders(parse_config(FILES))

    require_none_of_release(config, "it", given=["data=[]", "earlier.data[0]={}", "evaluate.bias = {}"])
    require_none_of_release(config, "it", given=["evaluate.bias.=x"] + [f"{key}=x" for key in KEYS])
    require_none_of_release(parse_config(MINIMAL), "it")
    with pytest.raises(ReleaseError, match=r"evaluate\.bias\.templates"):
        require_none_of_release(config, "it", own_data=False)


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "card: {ethics: {file: ETHICS.md}}\n",
        MINIMAL + "card: {intended_use: 2026-99-99}\n",
        MINIMAL.replace("text: quote", "chat_template: {file: t.jinja}"),
        MINIMAL + "a: &a [*a, *a]\n",
        "".join(f"k{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(12)),
        f"base: {'9' * 5000}\n",
        "[" * 5000,
        "\x00",
    ],
)
def test_a_config_made_to_harm_its_reader_is_an_error(text: str):
    with pytest.raises(HubtuneError) as caught:
        read_published(text, "records/config.yaml of org/model")

    assert isinstance(caught.value, ConfigError | ReleaseError)
    assert "records/config.yaml of org/model" in caught.value.message
