"""Rows of the formats text, template, prompt_completion and instruction as pieces."""

import string
from collections.abc import Mapping, Sequence

from hubtune.config.fields import template_columns
from hubtune.data.faults import Reason, RowFaultError
from hubtune.data.formats.choice import RowFormat
from hubtune.data.pieces import Piece, Written, as_written, checked_text, joined, sound_text

# The prompts that Stanford Alpaca (Taori et al., 2023) was trained with.
_ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
_ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)


def write_text(row: Mapping[str, object], chosen: RowFormat) -> Written:
    """Writes a row of one of the text formats.

    Raises:
        RowFaultError: The row cannot be used.
    """
    learn_all = chosen.loss_on == "all"
    if chosen.template is not None:
        # Where all carries loss and no part is a response, the whole row is one.
        whole = chosen.kind == "template" and learn_all
        return _filled(row, chosen.template, learn_all=learn_all, whole=whole)
    if chosen.kind == "text":
        return Written((Piece(checked_text(row[chosen.columns["text"]]), response=True),), learn_all)
    if chosen.kind == "prompt_completion":
        asked: tuple[Piece, ...] = (Piece(checked_text(row[chosen.columns["prompt"]]), response=False),)
        response = _response(row, chosen.columns["completion"])
    else:
        asked = _alpaca(row, chosen.columns)
        response = _response(row, chosen.columns["response"])
    return Written((*asked, response), learn_all, prompt=_text(asked))


def _response(row: Mapping[str, object], column: str) -> Piece:
    return Piece(checked_text(row[column], blank=Reason.NO_RESPONSE), response=True)


def _alpaca(row: Mapping[str, object], columns: Mapping[str, str]) -> tuple[Piece, ...]:
    values = {"instruction": checked_text(row[columns["instruction"]])}
    given = row[columns["input"]] if "input" in columns else None
    if isinstance(given, str) and given.strip():
        values["input"] = sound_text(given)
    elif given is not None and not isinstance(given, str):
        raise RowFaultError(Reason.NOT_TEXT, type(given).__name__)
    template = _ALPACA_WITH_INPUT if "input" in values else _ALPACA
    pieces = []
    for literal, name, _, _ in string.Formatter().parse(template):
        pieces.append(Piece(literal, response=False, control=True))
        if name is not None:
            pieces.append(Piece(values[name], response=False))
    return joined(pieces)


def _filled(row: Mapping[str, object], template: str, *, learn_all: bool, whole: bool) -> Written:
    """Fills a template; its last field, and what stands after that, is the response unless the whole row is."""
    fields = list(string.Formatter().parse(template))
    last = max(number for number, (_, name, _, _) in enumerate(fields) if name is not None)
    columns = template_columns(template)
    texts = {column: _as_text(row[column]) for column in columns}
    pieces: list[Piece] = []
    prompt = ""
    for number, (literal, name, _, _) in enumerate(fields):
        if number == last and not whole:
            # A space before the response is part of its first token.
            asked = literal.rstrip(" ")
            pieces.append(Piece(asked, response=False, control=True))
            prompt = _text(pieces)
            pieces.append(Piece(literal[len(asked) :], response=True, control=True))
        else:
            pieces.append(Piece(literal, response=whole or number > last, control=True))
            prompt = _text(pieces) if number == last else prompt
        if name is not None:
            pieces.append(Piece(texts[name], response=whole or number == last))
    return Written(joined(pieces), learn_all, prompt=prompt.rstrip(" ") if len(columns) > 1 else None)


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _as_text(value: object) -> str:
    """Returns the text of a template's field; numbers are written as they are, and truth values as JSON has them."""
    return checked_text(as_written(value))
