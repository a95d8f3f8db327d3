"""What a misspelled license id may have meant."""

import pytest

from hubtune.config.fields import LICENSE_IDS, misspelt_license, unknown_license


@pytest.mark.parametrize(
    ("text", "meant"),
    [("gpl3", "gpl-3.0"), ("GPLv3", "gpl-3.0"), ("apache2", "apache-2.0"), ("MIT", "mit")],
)
def test_another_spelling_of_an_id_names_that_one_alone(text, meant):
    assert misspelt_license(text) == [meant]
    assert str(unknown_license(text)).endswith(f"did you mean {meant}?")


def test_no_id_of_the_hub_is_a_misspelling_of_itself_and_none_comes_of_no_letters():
    assert [known for known in LICENSE_IDS if unknown_license(known)] == []
    assert misspelt_license("") == misspelt_license("?") == []
