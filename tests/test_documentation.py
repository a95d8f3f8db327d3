"""What the pages name exists: links, commands with their options, make targets, paths, modules and names in them."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hubtune import __version__
from hubtune.cli.app import app

CHECKOUT = Path(__file__).parents[1]
PAGES = {
    page.relative_to(CHECKOUT).as_posix(): page.read_text(encoding="utf-8")
    for page in sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
}
# What is told of earlier versions may have gone since.
PAGES["CHANGELOG.md"] = re.split(rf"(?<=\n)(?=## \[)(?!## \[(?:Unreleased|{__version__})\])", PAGES["CHANGELOG.md"])[0]

# Code within a line, and lines of shell: indented or in a block, with what follows a comment or a pipe left out.
SPANS = {page: re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text) for page, text in PAGES.items()}
SHELL = {page: re.findall(r"^(?: {4}|\$ )(\S.*?)(?= {2,}#| > |$)", text, re.MULTILINE) for page, text in PAGES.items()}
NAMED = {page: [*SPANS[page], *SHELL[page]] for page in PAGES}
TARGETS = re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
FOLDERS = ("hubtune/", "tests/", "templates/", "docs/", "examples/")
# Where the wheel has `templates`.
INSTALLED = "hubtune/templates"


def _every(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from _every(command)


def _options(command: click.Command) -> set[str]:
    return {"--help", *(name for each in command.params for name in (*each.opts, *each.secondary_opts))}


def _unknown(line: str) -> list[str]:
    """Returns what a line that calls hubtune names and there is not: a command, or options of it."""
    command: click.Command = app
    known, unknown = _options(app), []
    for word in re.findall(r'"[^"]*"|[^\s\[\]]+', line.replace("\\|", " "))[1:]:
        if word.startswith("-"):
            option = word.partition("=")[0]
            unknown += [] if option in known else [option]
        elif isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
            known |= _options(command)
        elif isinstance(command, click.Group) and word != "COMMAND":
            unknown.append(word)
    return unknown


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    place = CHECKOUT / page
    for path, anchor in re.findall(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)", PAGES[page]):
        target = (place.parent / path).resolve() if path else place
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}, anchor


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(page: str) -> None:
    lines = [line for line in NAMED[page] if line.startswith("hubtune ")]
    assert {line: _unknown(line) for line in lines if _unknown(line)} == {}


@pytest.mark.parametrize("page", PAGES)
def test_an_option_without_its_command_is_one_of_some_command(page: str) -> None:
    known = _options(app).union(*map(_options, _every(app)))
    options = [span.split()[0].partition("=")[0] for span in SPANS[page] if span.startswith("--")]
    assert [option for option in options if option not in known] == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    asked = [word for line in NAMED[page] if line.startswith("make ") for word in line.split()[1:]]
    assert [target for target in asked if target not in TARGETS] == []


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_modules_exist(page: str) -> None:
    words = [word.rstrip(",;.") for line in NAMED[page] for word in line.split()]
    paths = re.findall(rf"(?<![\w/.:-])(?:{'|'.join(FOLDERS)})[\w/.-]*[\w/]", PAGES[page])
    dotted = [word for word in words if re.fullmatch(r"hubtune(\.[A-Za-z_]+)+", word)]
    files = ["hubtune.lock", "hubtune.json", "hubtune.yaml", "hubtune.schema.json", "hubtune.metrics"]

    assert [path for path in paths if path != INSTALLED and not (CHECKOUT / path).exists()] == []
    assert [name for name in dotted if name not in files and not _is_there(name)] == []


def _is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    place, _, name = dotted.rpartition(".")
    for module in (dotted, place):
        for path in (
            CHECKOUT / (module.replace(".", "/") + ".py"),
            CHECKOUT / module.replace(".", "/") / "__init__.py",
        ):
            if path.is_file():
                return module == dotted or re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")) is not None
    return False


@pytest.mark.parametrize("page", PAGES)
def test_a_name_is_in_the_module_that_it_is_said_to_be_in(page: str) -> None:
    text = " ".join(PAGES[page].split())
    said = re.findall(r"`(\w+)` (?:and [^.;:|]*?)?in `(hubtune/[\w/]+\.py|tests/[\w/]+\.py)`", text)
    said += [
        (name, path)
        for names, path in re.findall(r"\| \d \| ([^|]*) \| `([^`]+)` \|", text)
        for name in re.findall(r"`(\w+)`", names)
    ]
    missing = [pair for pair in said if not re.search(rf"\b{pair[0]}\b", (CHECKOUT / pair[1]).read_text("utf-8"))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_place_on_one_machine(page: str) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|tmp|home|root|Users)/\S*", PAGES[page]) == []


def test_the_picture_of_the_layers_is_that_of_the_contracts() -> None:
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    picture = PAGES["docs/ARCHITECTURE.md"].partition("```text\ncli ")[2].partition("```")[0]
    drawn = " ".join(line[:38] for line in f"cli {picture}".splitlines())

    assert re.findall(r"[a-z_]+", drawn) == re.findall(r"[a-z_]+", " ".join(layers))
    modules = {path.stem for path in (CHECKOUT / "hubtune").glob("[a-z]*") if path.suffix in ("", ".py")}
    assert modules - {"quickstart", "templates"} == set(re.findall(r"[a-z_]+", drawn))
