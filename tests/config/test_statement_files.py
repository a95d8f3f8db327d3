"""A statement may stand in a file of its own, which is read when the config is."""

from pathlib import Path

import pytest

from hubtune.config.load import dump_config, load_config, parse_config
from hubtune.errors import ConfigError

CONFIG = "base: {repo: org/base}\ndata: [{repo: org/sayings, text: quote}]\ncard: {ethics: {file: words/ETHICS.md}}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "ETHICS.md").write_text("\ufeffWe asked.\n\n- *Twice*.\n", encoding="utf-8")
    path = tmp_path / "hubtune.yaml"
    path.write_text(CONFIG)
    return path


def faults(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return caught.value.details


def test_the_files_words_are_the_statement_and_stay_with_the_run(config: Path) -> None:
    loaded = load_config(config)

    assert loaded.card.ethics == "We asked.\n\n- *Twice*."
    assert parse_config(dump_config(loaded)) == loaded


def test_a_file_in_another_encoding_is_named_with_the_place(config: Path, tmp_path: Path) -> None:
    (tmp_path / "words" / "ETHICS.md").write_bytes(b"caf\xe9")
    (fault,) = faults(config)
    assert fault.endswith("cannot be used: it is not UTF-8: the first byte that is not is byte 4")


def test_a_missing_file_is_named_with_its_key(config: Path, tmp_path: Path) -> None:
    (tmp_path / "words" / "ETHICS.md").unlink()
    assert faults(config) == ("card.ethics: the file words/ETHICS.md cannot be used: No such file or directory",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b" \n", "it is empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "longer than 64 KiB")],
)
def test_a_file_that_holds_no_statement_is_refused(config: Path, tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "words" / "ETHICS.md").write_bytes(content)
    (fault,) = faults(config)
    assert fault.startswith("card.ethics: the file words/ETHICS.md cannot be used: ")
    assert reason in fault


@pytest.mark.parametrize("value", ["{path: x}", "{file: [x]}", "{file: x, lines: 3}"])
def test_another_mapping_is_told_how_to_write_it(config: Path, value: str) -> None:
    config.write_text(CONFIG.replace("{file: words/ETHICS.md}", value))
    assert faults(config) == ("card.ethics: write the text itself, or {file: PATH} of a Markdown file",)


def test_the_folder_of_templates_is_found_from_the_config(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("{ethics: {file: words/ETHICS.md}}", "{templates: sections}"))
    assert load_config(config).card.templates == str(tmp_path / "sections")
