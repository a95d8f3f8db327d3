"""A license file is recognized by its title, for each text that ships with hubtune and for others."""

import pytest

from hubtune.card.lint.card import family, licenses_in
from hubtune.resources import templates_dir

TEXTS = sorted((templates_dir().parent / "hubtune/card/licensing/texts").glob("*.txt"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_texts_that_ship_with_hubtune_are_recognised(path) -> None:
    assert path.stem in licenses_in(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("MIT License\n\nCopyright", "mit"),
        (
            "                                 Apache License\n                           Version 2.0, January",
            "apache-2.0",
        ),
        ("# Creative Commons Attribution-NonCommercial 4.0 International\n", "cc-by-nc-4.0"),
        ("Attribution-ShareAlike 4.0 International\n", "cc-by-sa-4.0"),
        ("Creative Commons Legal Code\n\nCC0 1.0 Universal\n", "cc0-1.0"),
        ("GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n", "gpl-3.0"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\n", "llama3.1"),
        ("Gemma Terms of Use\n", "gemma"),
    ],
)
def test_a_title_tells_the_licence(text: str, license: str) -> None:
    assert licenses_in(text) == {license}


@pytest.mark.parametrize("text", ["", "All rights reserved.", "See the MIT License for how we differ.", "\0" * 1_000])
def test_what_has_no_title_is_not_recognised(text: str) -> None:
    assert licenses_in(text) == frozenset()


def test_a_family_stands_for_its_members() -> None:
    assert {"cc-by-4.0", "cc-by-nc-4.0"} <= family("cc")
    assert family("gpl") == {"gpl", "gpl-2.0", "gpl-3.0"}
    assert family("mit") == {"mit"}
