"""Code blocks: whether their code is valid."""

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Iterator

from hubtune.card.lint.card import Card
from hubtune.card.lint.document import Fence
from hubtune.card.lint.registry import Hit, rule
from hubtune.documents import UnreadableError, check_yaml_stream

_LONGEST = 50_000
_PYTHON = frozenset({"python", "py", "python3"})
_SHELL = ("!", "%", "$ ", "pip install ")
_LOADERS = frozenset({"from_pretrained", "pipeline", "load_dataset", "snapshot_download", "hf_hub_download"})
_ELLIPSIS = re.compile(r",[ \t]*\.\.\.(?=[ \t]*[,\n)\]}]|[ \t]*$)")
_JSON_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_DOTS = re.compile(r"\.\.\.|…")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@rule("snippet-python")
def snippet_python(card: Card) -> Iterator[Hit]:
    """Python examples are valid Python."""
    for fence in _fences(card, _PYTHON):
        _, fault = _parse(fence.content)
        if fault is not None:
            yield Hit(fence.line + max(0, (fault.lineno or 1) - 1), f"this is not Python: {fault.msg}")


@rule("snippet-json", "warning")
def snippet_json(card: Card) -> Iterator[Hit]:
    """JSON examples are valid JSON."""
    for fence in _fences(card, frozenset({"json"})):
        try:
            json.loads(fence.content)
        except json.JSONDecodeError as error:
            if not _is_excerpt(fence.content) and not _is_json_lines(fence.content):
                yield Hit(fence.line + error.lineno - 1, f"this is not JSON: {error.msg}")
        except (RecursionError, ValueError):
            yield Hit(fence.line, "this is not readable JSON")


@rule("snippet-yaml", "warning")
def snippet_yaml(card: Card) -> Iterator[Hit]:
    """YAML examples are valid YAML."""
    for fence in _fences(card, frozenset({"yaml", "yml"})):
        try:
            check_yaml_stream(fence.content)
        except UnreadableError as fault:
            yield Hit(fence.line + (fault.line or 1) - 1, f"this {fault.problem}")


@rule("snippet-unpinned", "warning")
def snippet_unpinned(card: Card) -> Iterator[Hit]:
    """Examples on cards of hubtune load from the Hub at a revision."""
    for fence in _fences(card, _PYTHON) if card.own else ():
        tree, _ = _parse(fence.content)
        names = _constants(tree) if tree else {}
        for call in ast.walk(tree) if tree else ():
            if isinstance(call, ast.Call) and _name(call.func) in _LOADERS:
                given = [*call.args, *(keyword.value for keyword in call.keywords)]
                repos = [repo for argument in given for repo in _texts(argument, names) if _REPO.fullmatch(repo)]
                if repos and not any(keyword.arg in ("revision", None) for keyword in call.keywords):
                    yield Hit(fence.line + call.lineno - 1, f"{repos[0]!r} is loaded without a `revision`")


def _is_excerpt(content: str) -> bool:
    """Whether an example says by dots outside its texts that something is left out."""
    return _DOTS.search(_JSON_TEXT.sub("", content)) is not None


def _is_json_lines(content: str) -> bool:
    try:
        return len([json.loads(line) for line in content.splitlines() if line.strip()]) > 1
    except (RecursionError, ValueError):
        return False


def _fences(card: Card, languages: frozenset[str]) -> Iterator[Fence]:
    return (fence for fence in card.document.fences if fence.language in languages and len(fence.content) <= _LONGEST)


def _parse(code: str) -> tuple[ast.Module | None, SyntaxError | None]:
    """Parses an example, which may be a session, a notebook's cell, or leave something out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return ast.parse(code), None
            except SyntaxError:
                program = _as_program(code)
            try:
                return ast.parse(program), None
            except SyntaxError as error:
                fault = error
            try:
                return ast.parse(_ELLIPSIS.sub("", program)), None
            except SyntaxError:
                # What it says without the dots would be of another text than the card's.
                return None, fault
    except SyntaxError as error:
        return None, error
    except (ValueError, RecursionError, MemoryError):
        return None, SyntaxError("it is nested too deeply or contains a null character")


def _as_program(code: str) -> str:
    lines = textwrap.dedent(code).replace("…", "...").split("\n")
    if any(line.lstrip().startswith(">>> ") for line in lines):
        lines = [line.lstrip()[4:] if line.lstrip().startswith((">>> ", "... ")) else "" for line in lines]
    kept = []
    continued = False
    for line in lines:
        bare = line.lstrip()
        indent = line[: len(line) - len(bare)]
        shell = bare.startswith(_SHELL)
        kept.append("" if continued else f"{indent}pass" if shell or bare.rstrip() == "..." else line)
        continued = (shell or continued) and bare.rstrip().endswith("\\")
    return "\n".join(kept)


def _constants(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.update({target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)})
    return found


def _texts(node: ast.expr, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in names:
        yield names[node.id]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
