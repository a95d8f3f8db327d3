"""Every text of an error reads as plain English and says what to do: what can be held of all of them is held here."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import hubtune
from hubtune import errors
from hubtune.data.segments import DropReason

SOURCES = Path(hubtune.__file__).parent
CLASSES = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
# What the text of an error does not say, with what it says in its place.
BANNED = {
    r"\bis told\b": "reports",
    r"\bstands? (?:in|here|there|twice|on)\b": "is in",
    r"\bgo(?:es|ing)? on (?:from|with)\b": "resume, continue",
    r"\bbut for\b": "except for",
    r"\banew\b": "again",
    r"\bas far as\b": "if",
    r"\bany more\b": "no longer",
    r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer\b)": "is not a",
    r"\b(?:is|are) none\b": "is not",
    r"\bwrites? none\b": "cannot write any",
    r"\brows? to train on\b": "training rows",
    r"\bcarr(?:y|ies) loss\b": "target tokens",
    r"\bdo(?:es)? not do for\b": "is too little for",
    r"\bif it stays\b": "if it happens again",
    r"\bfor want of\b": "for lack of",
    r"\bNoneType\b|\bpydantic\b|\bTypeError\b|\bKeyError\b|\b__\w+__\b": "the thing itself",
    r"\bhubtune\.(?!json|lock|yaml)[a-z]": "the thing itself",
    r"\b(?:a|the) (?:dict|str|bool|tuple)\b": "mapping, text, true or false, list",
    r"  ": "one space",
    r" [,;?](?:\s|$)": "no space before",
    r"\.\.$": "one period",
}
# Messages that become the detail of a claim or of a measure, or that only a fault of hubtune's own can lead to.
WITHOUT_HINT = {
    *("card/markdown.py", "models/release_model.py", "models/checkpoint.py"),
    *("evaluate/bias/pair_preference.py", "verify/model_claims.py"),
}
# A message ends its sentence; a hint may end with a command, an address or an example.
ENDS = re.compile(r"[.?…)}]$")
COMMAND = re.compile(r"(?:\b(?:hubtune|hf|pip|iconv)\b|https?://).*\S$|: (?:> )?[^.]*$")


@dataclass(frozen=True)
class Text:
    """A text of an error, with {} for what is filled in, whether it is the error's message, and whether no hint is "
    "with it."""

    place: str
    text: str
    message: bool
    bare: bool = False


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return f"{_text(node.left) or '{}'}{_text(node.right) or '{}'}"
    return None


def _both(node: ast.AST) -> list[ast.AST]:
    return [*_both(node.body), *_both(node.orelse)] if isinstance(node, ast.IfExp) else [node]


def _name(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _texts() -> Iterator[Text]:
    for path in sorted(SOURCES.rglob("*.py")):
        place = path.relative_to(SOURCES).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = _name(node)
            raised = name in CLASSES or name in ("error", "_error", "BadParameter")
            own = node.args[:1] if raised or name in ("ValueError", "Problem") else []
            own = node.args[1:2] if name == "Problem" else own
            hints = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
            hints += node.args[1:3] if name == "advise" else []
            for found, message in ((own, raised), (hints, False)):
                for one in (part for each in found for part in _both(each)):
                    if (text := _text(one)) and (message or " " in text):
                        bare = message and name in CLASSES and not any(k.arg in ("hint", None) for k in node.keywords)
                        yield Text(f"{place}:{one.lineno}", text, message, bare)


ALL = list(_texts())


def test_the_texts_are_found():
    assert len(ALL) > 600
    assert any(text.place.startswith("hub/translate.py") and text.message for text in ALL)


@pytest.mark.parametrize("pattern", BANNED)
def test_no_text_has_a_phrase_that_misleads_or_names_internals(pattern):
    found = [f"{text.place}: {text.text}" for text in ALL if re.search(pattern, text.text)]
    found += [f"{reason}: {reason.text}; {reason.fix}" for reason in DropReason if re.search(pattern, reason.text)]
    assert not found, f"say {BANNED[pattern]!r} instead:\n" + "\n".join(found)


def test_every_message_ends_its_sentence():
    found = [f"{text.place}: {text.text}" for text in ALL if text.message and not ENDS.search(text.text)]
    assert not found, "\n".join(found)


def test_every_hint_ends_its_sentence_or_with_a_command():
    hints = [text for text in ALL if not text.message and text.text[:1].isupper()]
    found = [
        f"{text.place}: {text.text}" for text in hints if not (ENDS.search(text.text) or COMMAND.search(text.text))
    ]
    assert not found, "\n".join(found)
