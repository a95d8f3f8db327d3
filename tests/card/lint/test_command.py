"""`hubtune card lint` and `card diff` on folders and an embedded Hub: documents, exit codes, what the Hub is asked."""

import re
from pathlib import Path

import pytest

from hubtune.card.lint import all_rules
from hubtune.errors import CardError, CardFindingsError, ConfigError, RepoNotFoundError, RevisionNotFoundError
from tests.card.lint.cards import APACHE, BODY, DATA_BODY, DATA_FRONT, FRONT, INDEX, MIT, card

PAGE = Path(__file__).parents[3] / "docs/cards.md"
BAD = card(FRONT.replace("license: mit", "license: MIT") + INDEX, BODY + "\nSee [the plan](plan.md).\n")
DATA_FILE = b'{"text": "a"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a card that is in order."""
    (tmp_path / "README.md").write_text(card())
    return tmp_path


@pytest.fixture
def hub(served):
    """A Hub with a base model, a dataset, and a model made from them."""
    served.commit("org/base", {"README.md": b"---\nlicense: apache-2.0\n---\n# Base\n", "LICENSE": APACHE.encode()})
    served.commit("org/quotes", {"README.md": card(DATA_FRONT, DATA_BODY).encode(), "a.jsonl": DATA_FILE}, "dataset")
    served.commit("org/model", {"README.md": card().encode(), "LICENSE": MIT.encode()})
    return served


def rules_of(document: dict) -> list[tuple[str, int]]:
    return [(finding["rule"], finding["line"]) for finding in document["findings"]]


def test_a_card_in_order_has_exit_code_0(hubtune, folder: Path) -> None:
    done = hubtune("--json", "card", "lint", "--offline", folder)
    assert done.code == 0
    assert done.document == {"path": str(folder / "README.md"), "findings": [], "errors": 0, "warnings": 0}


def test_errors_have_an_exit_code_of_their_own_and_the_document_is_printed(hubtune, folder: Path) -> None:
    (folder / "README.md").write_text(BAD)
    done = hubtune("--json", "card", "lint", "--offline", folder / "README.md")
    assert done.code == CardFindingsError.exit_code == 42
    assert rules_of(done.document) == [("license-id", 2), ("link-dead", 44)]
    assert done.document["errors"] == 2
    assert set(done.document["findings"][0]) == {"rule", "severity", "message", "line"}


def test_warnings_fail_only_when_asked_to(hubtune, folder: Path) -> None:
    (folder / "README.md").write_text(card(FRONT + "licence: mit\n"))
    assert hubtune("card", "lint", "--offline", folder).code == 0
    assert hubtune("card", "lint", "--offline", "--strict", folder).code == 42


def test_each_finding_is_a_line_for_people(hubtune, folder: Path) -> None:
    (folder / "README.md").write_text(BAD)
    lines = hubtune("card", "lint", "--offline", folder).out.splitlines()
    assert lines[1] == (
        f"{folder}/README.md:44: error link-dead: the link leads to 'plan.md', which is not a file of the repository"
    )
    assert lines[-1] == f"2 errors, 0 warnings in {folder}/README.md"


def test_no_text_of_the_card_acts_upon_the_terminal(hubtune, folder: Path) -> None:
    (folder / "README.md").write_text(card(body=BODY + "\n[a](<\x1b[31mx\u202e>)\n"))
    assert not re.search("[\x1b\u202e]", hubtune("card", "lint", "--offline", folder).out)


def test_the_licence_file_of_the_folder_is_compared(hubtune, folder: Path) -> None:
    (folder / "LICENSE").write_text(APACHE)
    (finding,) = hubtune("--json", "card", "lint", "--offline", folder).document["findings"]
    assert (finding["rule"], finding["severity"]) == ("license-file", "error")
    assert "LICENSE holds apache-2.0" in finding["message"]


def test_the_files_of_a_run_are_not_those_of_a_repository(hubtune, folder: Path) -> None:
    (folder / "README.md").write_text(card(body=BODY + "\n![Loss](images/loss.png)\n"))
    assert hubtune("card", "lint", "--offline", folder).code == 42
    (folder / "pins.json").write_text("{}")
    assert hubtune("card", "lint", "--offline", folder).code == 0


@pytest.mark.parametrize("named", ["org/model", "org/model@v1", "datasets/org/quotes", "org/quotes"])
def test_a_repository_is_read_at_one_commit(hubtune, hub, named: str) -> None:
    hub.api.create_tag("org/model", tag="v1")
    repo = named.removeprefix("datasets/").partition("@")[0]
    kind = "dataset" if repo == "org/quotes" else "model"
    done = hubtune("--json", "card", "lint", named)
    assert done.document == {
        "repo": repo,
        "commit": hub.head(repo, kind),
        "findings": [],
        "errors": 0,
        "warnings": 0,
    }
    fetched = [line for line in hub.requests() if "/resolve/" in line["path"] and line["repo"] == repo]
    assert {line["revision"] for line in fetched} == {hub.head(repo, kind)}


def test_only_the_card_and_the_licence_files_are_fetched(hubtune, hub) -> None:
    hub.commit("org/model", {"adapter.bin": b"1" * 1000, "docs/a.md": b"a"})
    before = len(hub.requests())
    hubtune("card", "lint", "--offline", "org/model")
    paths = {line["path"].partition("/resolve/")[2].partition("/")[2] for line in hub.requests()[before:]}
    assert paths - {""} == {"README.md", "LICENSE"}


def test_links_are_looked_up_among_the_files_of_the_repository(hubtune, hub) -> None:
    text = card(body=BODY + "\n[One](docs/a.md), [two](docs), [three](docs/b.md).\n")
    hub.commit("org/model", {"README.md": text.encode(), "docs/a.md": b"a"})
    done = hubtune("--json", "card", "lint", "org/model")
    assert [finding["message"] for finding in done.document["findings"]] == [
        "the link leads to 'docs/b.md', which is not a file of the repository"
    ]


def test_a_licence_that_the_inputs_forbid_is_an_error(hubtune, hub) -> None:
    hub.commit("org/quotes", {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}, "dataset")
    done = hubtune("--json", "card", "lint", "org/model")
    assert done.code == 42
    (finding,) = done.document["findings"]
    assert (finding["rule"], finding["line"]) == ("license-inputs", 2)
    assert "org/quotes forbids commercial use" in finding["message"]


def test_inputs_of_a_folder_are_looked_up_too(hubtune, hub, folder: Path) -> None:
    hub.commit("org/quotes", {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}, "dataset")
    assert hubtune("card", "lint", folder).code == 42
    assert hubtune("card", "lint", "--offline", folder).code == 0


def test_an_input_that_cannot_be_read_is_a_warning(hubtune, served, folder: Path) -> None:
    done = hubtune("--json", "card", "lint", folder)
    assert (done.code, done.document["errors"], done.document["warnings"]) == (0, 0, 2)
    assert "There is no repository org/base" in done.document["findings"][0]["message"]


def test_a_base_that_wants_to_be_shown_is_missed(hubtune, hub) -> None:
    hub.commit("org/base", {"README.md": b"---\nlicense: llama3.2\n---\n", "LICENSE": b"LLAMA 3.2 COMMUNITY LICENSE"})
    text = card(FRONT.replace("license: mit", "license: llama3.2") + INDEX)
    hub.commit("org/model", {"README.md": text.encode(), "LICENSE": b"LLAMA 3.2 COMMUNITY LICENSE"})
    found = {finding["rule"] for finding in hubtune("--json", "card", "lint", "org/model").document["findings"]}
    assert found == {"license-display", "license-name-prefix"}


def test_a_card_that_is_too_large_is_not_even_fetched(hubtune, hub) -> None:
    hub.commit("org/model", {"README.md": b"a" * 1_000_001})
    before = len(hub.requests())
    done = hubtune("--json", "card", "lint", "org/model")
    assert rules_of(done.document) == [("card-too-large", 1)]
    assert not any("README.md" in line["path"] for line in hub.requests()[before:])


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ("org/nothing", RepoNotFoundError),
        ("org/model@v9", RevisionNotFoundError),
        ("no such folder", ConfigError),
        ("a" * 5_000, ConfigError),
        ("org/bare", CardError),
    ],
)
def test_what_is_not_there_is_told(hubtune, hub, named: str, error: type[Exception]) -> None:
    hub.commit("org/bare", {"a.txt": b"a"})
    with pytest.raises(error):
        hubtune("card", "lint", named)


def test_a_folder_without_a_card_is_told(hubtune, tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"There is no .*README.md"):
        hubtune("card", "lint", tmp_path)


def test_a_card_that_is_a_link_to_nothing_is_told(hubtune, tmp_path: Path) -> None:
    (tmp_path / "README.md").symlink_to("nothing")
    with pytest.raises(CardError):
        hubtune("card", "lint", tmp_path / "README.md")


def test_the_rules_are_listed(hubtune) -> None:
    listed = hubtune("card", "lint", "--list-rules").out.splitlines()
    assert [line.split()[0] for line in listed] == [rule.id for rule in all_rules()]
    document = hubtune("--json", "card", "lint", "--list-rules").document
    assert [rule["id"] for rule in document["rules"]] == [rule.id for rule in all_rules()]


def test_the_readme_shows_what_a_lint_prints(hubtune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = BAD.replace("## Limitations\n\nIt invents quotes.\n", "## Limitations\n\nTODO\n")
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model/README.md").write_text(text)
    monkeypatch.chdir(tmp_path)
    shown = hubtune("card", "lint", "--offline", "my-model").out
    assert f"```text\n{shown}```" in PAGE.read_text(encoding="utf-8")


def test_the_readme_shows_what_a_diff_prints(hubtune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = FRONT.replace("license: mit", "license: apache-2.0") + INDEX.replace("27.4035", "25.5")
    cards = {"v1": card(), "v2": card(changed, BODY.replace("prompts.", "prompts and jokes."))}
    for name, text in cards.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert f"```text\n{hubtune('card', 'diff', 'v1', 'v2').out}```" in PAGE.read_text(encoding="utf-8")


def test_two_releases_are_compared(hubtune, hub) -> None:
    hub.api.create_tag("org/model", tag="v1")
    hub.commit("org/model", {"README.md": card(FRONT + INDEX.replace("27.4035", "25.5")).encode()})
    document = hubtune("--json", "card", "diff", "org/model@v1", "org/model").document
    assert document["a"]["commit"] == hub.tags("org/model")["v1"]
    assert document["b"]["commit"] == hub.head("org/model")
    assert (document["metadata"], document["sections"]) == ([], [])
    assert document["results"] == [{"metric": "perplexity", "dataset": "org/quotes", "before": 27.4035, "after": 25.5}]
