"""Figures of the code's structure: `python tests/structure.py`, or `make stats`."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
PACKAGE = "hubtune"
MANY_ARGUMENTS = 6
_IMPORT = (ast.Import, ast.ImportFrom)


def modules() -> dict[str, Path]:
    """Returns the product's modules by dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    return found


def imported(name: str, tree: ast.Module, known: dict[str, Path]) -> Iterator[str]:
    """Yields the product's modules that a module imports anywhere in it, for type checking too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                target = inner if inner in known else node.module
                if target in known and target != name:
                    yield target
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Returns the groups of modules that import one another: strongly connected components (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in graph:
        if name not in index:
            visit(name)
    return found


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns how many arguments a function takes, but for `self` and `cls`."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tells whether a function is a Click command: its arguments are the command's options."""
    return any("command" in ast.unparse(decorator) for decorator in function.decorator_list)


def figures() -> list[tuple[str, float, list[str]]]:
    """Returns each figure with its title, and what is behind those that have a bound."""
    known = modules()
    sources = {name: path.read_text() for name, path in known.items()}
    trees = {name: ast.parse(source) for name, source in sources.items()}
    lengths = {name: len(source.splitlines()) for name, source in sources.items()}
    import_lines = sum(
        node.end_lineno - node.lineno + 1
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, _IMPORT) and node.end_lineno
    )
    many = [
        f"{name}:{node.name} ({arguments(node)})"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and arguments(node) >= MANY_ARGUMENTS
        and not is_command(node)
    ]
    stems = Counter(path.stem for path in known.values() if path.stem != "__init__")
    shared = sorted(stem for stem, count in stems.items() if count > 1)
    classes = Counter(node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    twice = sorted(name for name, count in classes.items() if count > 1)
    graph = {name: set(imported(name, tree, known)) for name, tree in trees.items()}
    found = circles(graph)
    quiet = [
        f"{name}: {line.strip()}"
        for name, source in sources.items()
        for line in source.splitlines()
        if re.search(r"#\s*(noqa|type:\s*ignore)", line)
    ]
    long = sorted(f"{name} ({count})" for name, count in lengths.items() if count > 450)
    total = sum(lengths.values())
    return [
        ("modules", len(known), []),
        ("lines", total, []),
        ("median lines of a module", median(lengths.values()), []),
        ("modules above 450 lines", len(long), long),
        ("imports, % of lines", round(100 * import_lines / total, 1), []),
        ("functions of six or more arguments", len(many), many),
        ("file names that modules share", len(shared), shared),
        ("class names that modules share", len(twice), twice),
        ("circles of imports", len(found), [", ".join(group) for group in found]),
        ("noqa and type: ignore", len(quiet), quiet),
    ]


def main() -> int:
    """Prints each figure on a line; with `--names`, what is behind those that have a bound."""
    for title, value, names in figures():
        print(f"{title:36} {value}")
        if "--names" in sys.argv:
            print("".join(f"    {name}\n" for name in names), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
