"""Ids, tags, templates, revisions and licenses are checked before anything runs."""

import pytest
from dulwich.refs import Ref, check_ref_format

from hubtune.config.fields import (
    check_branch,
    check_repo_id,
    check_tag,
    check_target_repo_id,
    is_commit,
    template_columns,
    unknown_license,
)
from hubtune.config.load import parse_config
from hubtune.errors import ConfigError


@pytest.mark.parametrize(
    "value",
    [
        "gpt2",
        "org/name",
        "Org-1/na.me_2",
        "a/b",
        "openai-community/gpt2-medium",
        "o_rg/x.y-z_1",
        "_".join("ab") + "/c_",
    ],
)
def test_a_repository_id_is_taken(value: str):
    assert check_repo_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "/", "org/", "/name", "org//name", "a/b/c", "org/name ", " org/name", "org/na me", "org/name\n"),
        *("./model", "../model", "/abs/model", "~/model", "C:\\model", "org\\name", "./org/name", "models/../x"),
        *("-org/name", "org/-name", "org/name-", "org/name.", ".org/name", "org/.name", "org/na--me", "org/na..me"),
        *("org/name.git", "https://huggingface.co/org/name", "org/name@main", "org/name?x", "org/näme", "org/na:me"),
        *("org/" + "x" * 93, "hf://org/name", "org/na%20me", "org/name#1", "org/n*me"),
    ],
)
def test_what_is_not_a_repository_id_is_refused(value: str):
    with pytest.raises(ValueError, match="not a repository id"):
        check_repo_id(value)


def test_the_client_refuses_what_is_refused_here_no_less():
    """The Hub client's own check and this one agree on ids of every odd form."""
    from huggingface_hub.utils import validate_repo_id

    parts = ["a", "A.b", "a-b", "a_b", "-a", "a-", ".a", "a.", "_a", "a--b", "a b", "ä", "", "x.git"]
    for value in [*parts, *(f"{one}/{two}" for one in parts for two in parts)]:
        try:
            taken = check_repo_id(value)
        except ValueError:
            continue
        validate_repo_id(taken)


def test_a_release_needs_a_namespace():
    assert check_target_repo_id("org/name") == "org/name"
    with pytest.raises(ValueError, match="org/quotes-lora"):
        check_target_repo_id("quotes-lora")


@pytest.mark.parametrize(
    "value", ["v1.0.0", "v0.0.1", "v10.20.30", "v1.1.0-rc1", "v1.0.0rc1", "v1.0.0.dev3", "v2.0.0-alpha.1"]
)
def test_a_version_tag_is_taken(value: str):
    assert check_tag(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "1.0.0",
            "v1",
            "v1.0",
            "v1.0.0.0",
            "V1.0.0",
            "main",
            "latest",
            "v1.0.x",
            "v1.0.0 ",
            " v1.0.0",
            "v1.0.0\n",
        ),
        *("v1.0.0-", "v1.0.0+local", "v1.0.0-final", "va.b.c", "v-1.0.0", "v1..0", "refs/tags/v1.0.0", "v1.0.0/x"),
        *("v1.0.0~1", "v1.0.0^", "v\N{FULLWIDTH DIGIT ONE}.0.0"),
    ],
)
def test_what_is_not_a_version_tag_is_refused(value: str):
    with pytest.raises(ValueError, match="not a version"):
        check_tag(value)


@pytest.mark.parametrize(
    ("template", "columns"),
    [
        ("Quote by {author}: {quote}", ("author", "quote")),
        ("{b}{a}{b}", ("b", "a")),
        ("{{literal}} {a}", ("a",)),
        ("{column with spaces} {Größe}", ("column with spaces", "Größe")),
        ("no column", ()),
    ],
)
def test_a_template_s_columns_are_named_in_order(template: str, columns: tuple[str, ...]):
    assert template_columns(template) == columns


@pytest.mark.parametrize(
    "template",
    [
        *("{a.b}", "{a.__class__}", "{a[0]}", "{a[key]}", "{a!r}", "{a!s}", "{a:>10}", "{a:{b}}", "{}", "{0.x}"),
        *("{a", "a}", "{a}}", "{{a}", "{a.__class__.__mro__[1]}"),
    ],
)
def test_a_template_that_reaches_further_than_a_column_is_refused(template: str):
    with pytest.raises(ConfigError) as caught:
        parse_config("base: {repo: org/base}\ndata: [{repo: org/s, template: x}]", [f"data[0].template='{template}'"])

    assert len(caught.value.details) == 1
    assert caught.value.details[0].startswith("data[0].template: ")


@pytest.mark.parametrize("column", ["a.b", "a[0]", "a}", "{a", "a:b", "a!r", ""])
def test_a_text_column_of_an_odd_name_is_refused_in_the_config_or_taken_whole(column: str):
    """It is never taken apart into something else, and never an error without a place."""
    try:
        config = parse_config("base: {repo: org/base}\ndata: [{repo: org/s, text: x}]", [f"data[0].text='{column}'"])
        found = template_columns(config.data[0].row_template)
    except ConfigError as error:
        found = tuple(detail.partition(": ")[0] for detail in error.details)

    assert found in {(column,), ("data[0].text",), ("data[0]",)}


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/3", "a" * 40, "feature/x-1"])
def test_a_revision_is_taken(revision: str):
    config = parse_config(f"base: {{repo: org/base, revision: {revision}}}\ndata: [{{repo: org/s, text: q}}]")

    assert config.base.revision == revision


@pytest.mark.parametrize("revision", ["", " ", "main ", "a b", "main~1", "a^", "a:b", "a?b", "a*b", "a[b", "a\\b"])
def test_what_git_takes_for_no_revision_is_refused(revision: str):
    with pytest.raises(ConfigError) as caught:
        parse_config("base: {repo: org/base}\ndata: [{repo: org/s, text: q}]", [f"base.revision='{revision}'"])

    assert caught.value.details[0].startswith("base.revision: ")


@pytest.mark.parametrize("name", ["main", "next", "feature/x-1", "v1", "release_2.0", "ünter", "a@b", "a@", "c" * 39])
def test_a_branch_is_taken_as_git_takes_it(name: str):
    assert check_ref_format(Ref(f"refs/heads/{name}".encode()))
    assert check_branch(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "a..b", "a~1", "a^", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@{b", "a\tb", "a\x7f", "a\n"),
        *("/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "-a", "HEAD", "@", "refs/heads/a", "refs/pr/1"),
        *("c" * 40, "x" * 201),
    ],
)
def test_what_git_would_not_make_a_branch_is_refused(name: str):
    with pytest.raises(ValueError, match="not the name of a branch"):
        check_branch(name)


def test_a_branch_may_not_have_the_name_of_the_tag():
    with pytest.raises(ConfigError) as caught:
        parse_config("base: {repo: org/base}\ndata: [{repo: org/s, text: q}]\npublish: {branch: v1.0.0, tag: v1.0.0}")

    assert "branch and tag are both 'v1.0.0'" in caught.value.details[0]


@pytest.mark.parametrize("license", ["mit", "apache-2.0", "other", "llama3.1", "cc-by-nc-4.0"])
def test_a_licence_of_the_hub_is_known(license: str):
    assert unknown_license(license) is None


@pytest.mark.parametrize(
    ("license", "meant"),
    [("MIT", "mit"), ("apache2", "apache-2.0"), ("Apache-2.0", "apache-2.0"), ("gpl3.0", "gpl-3.0")],
)
def test_a_misspelt_licence_is_told_what_may_have_been_meant(license: str, meant: str):
    with pytest.raises(ConfigError) as caught:
        parse_config("base: {repo: org/base}\ndata: [{repo: org/s, text: q}]", [f"card.license={license}"])

    (fault,) = caught.value.details
    assert fault.startswith("card.license: ")
    assert meant in fault.partition("did you mean")[2]


@pytest.mark.parametrize(
    ("value", "whole"),
    [("a" * 40, True), ("0123456789abcdef" + "0" * 24, True), ("a" * 39, False), ("A" * 40, False), ("g" * 40, False)],
)
def test_a_commit_is_forty_lower_case_hexadecimal_digits(value: str, whole: bool):
    assert is_commit(value) is whole


def test_a_commit_followed_by_a_line_break_is_none():
    assert not is_commit("a" * 40 + "\n")
