"""Checks a tokenizer.json before it is loaded: it is an untrusted program that can make a short text endless.

Each step of a tokenizer can lengthen a text a little, and dozens of steps in a row can fill the memory. So the greatest
possible growth is multiplied over all steps and limited, far above that of real tokenizers.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from hubtune.documents import Bounds, parse_json
from hubtune.errors import ModelError
from hubtune.files import read_bytes
from hubtune.records.release import TOKENIZER

# A vocabulary of 262,144 with its merges has 34 MB.
_BOUNDS = Bounds(size=192 << 20, values=None)
_MOST_STEPS, _MOST_DEPTH = 200, 20
# That of T5, with its map of characters and its replacements, is below 100.
_MOST_GROWTH = 10_000
_MOST_SPECIAL = 1_000
_LONGEST_TOKEN, _LONGEST_MARK, _LONGEST_WORD = 8_192, 100, 10_000
SECTIONS = ("normalizer", "pre_tokenizer", "decoder", "post_processor")
"""The parts of a tokenizer.json that are steps."""
# Bytes of one character as characters each, and a space before them; Unicode's longest compatibility form has 18; a
# space on both sides, and an accent of its own.
_GROWTH = {
    **{"ByteLevel": 5, "Metaspace": 2, "WordPiece": 2},
    **{"NFKC": 18, "NFKD": 18, "NFC": 3, "NFD": 4, "Lowercase": 3, "BertNormalizer": 9},
}
_UNKNOWN_GROWTH = 18
_OTHER = "Choose another base model or revision: no tokenizer of a usual kind has this."


def check_tokenizer_file(folder: Path, name: str) -> None:
    """Refuses a tokenizer whose steps could make a text too long for the memory.

    Args:
        folder: The model's folder; it may have no tokenizer.json.
        name: The model, for messages.

    Raises:
        ModelError: A tokenizer.json is too large, is not JSON, or holds such steps; the message names the part.
    """
    # Others than tokenizer.json are for some versions of transformers.
    for file in sorted(folder.glob("tokenizer*.json")):
        if file.name == TOKENIZER or file.name.startswith("tokenizer."):
            told = f"{file.name} of {name}"
            stated = parse_json(read_bytes(file, most=_BOUNDS.size), told, error=ModelError, bounds=_BOUNDS)
            if isinstance(stated, dict):
                check_steps(stated, told)
                _check_model(stated, told)


def check_steps(stated: Mapping[str, object], told: str) -> None:
    """Refuses steps that could make a text too long; `stated` has the sections of a tokenizer.json.

    Raises:
        ModelError: There are such; the message names the section.
    """
    grown = 1.0
    for section in SECTIONS:
        steps = list(_objects(stated.get(section), section, told))
        if section == "post_processor":
            _check_templates(steps, told)
            continue
        grown = 1.0 if section == "decoder" else grown
        for step in steps:
            grown *= max(1.0, _growth(step, section, told))
            if grown > _MOST_GROWTH:
                _refuse(section, told, f"could make a text more than {_MOST_GROWTH:,} times as long")


def _objects(part: object, section: str, told: str) -> Iterator[Mapping[str, object]]:
    left: list[tuple[object, int]] = [(part, 0)]
    found = 0
    while left:
        value, depth = left.pop()
        if depth > _MOST_DEPTH:
            _refuse(section, told, f"has steps within steps, more than {_MOST_DEPTH} deep")
        if isinstance(value, dict):
            found += 1
            if found > _MOST_STEPS:
                _refuse(section, told, f"has more than {_MOST_STEPS} steps and parts")
            yield value
            left += [(inner, depth + 1) for key, inner in value.items() if key != "special_tokens"]
        elif isinstance(value, list):
            # Backwards, so that steps are taken in their order.
            left += [(inner, depth + 1) for inner in reversed(value)]


def _growth(step: Mapping[str, object], section: str, told: str) -> float:
    """Returns how many times as long one step makes a text at most."""
    kind = step.get("type")
    if "pattern" in step and "content" in step:
        return _replaced(step["pattern"], str(step["content"]), section, told)
    if "prepend" in step:
        return 1 + len(str(step["prepend"]))
    if "precompiled_charsmap" in step:
        return _longest_character(step["precompiled_charsmap"])
    for mark in ("suffix", "word_delimiter_token"):
        # Each is replaced by a space; an empty one is found between any two characters.
        if step.get(mark) == "":
            return 3
    if isinstance(kind, str):
        return _GROWTH.get(kind, 1)
    return (
        1 if any(isinstance(value, (list, dict)) for value in step.values()) or _is_pattern(step) else _UNKNOWN_GROWTH
    )


def _is_pattern(step: Mapping[str, object]) -> bool:
    return step.keys() <= {"String", "Regex"}


def _replaced(pattern: object, content: str, section: str, told: str) -> float:
    text = pattern.get("String") if isinstance(pattern, dict) else pattern
    if text == "":
        _refuse(section, told, "replaces an empty text, which is found everywhere")
    # An expression may fit one character, or none between any two.
    return len(content) / len(text) if isinstance(text, str) else 1 + len(content)


def _longest_character(charsmap: object) -> float:
    """Returns the length of the longest text that a compiled map of characters puts in place of one."""
    try:
        content = base64.b64decode(str(charsmap or ""), validate=True)
    except (binascii.Error, ValueError):
        return _UNKNOWN_GROWTH
    texts = content[4 + int.from_bytes(content[:4], "little") :]
    return max((len(text.decode(errors="replace")) for text in texts.split(b"\0")), default=1)


def _check_templates(steps: list[Mapping[str, object]], told: str) -> None:
    """Refuses templates that put a text in more than once, or very many special tokens around it."""
    added = 0
    for step in steps:
        special = step.get("special_tokens")
        ids = special if isinstance(special, dict) else {}
        for template in (step.get("single"), step.get("pair")):
            pieces = [piece for piece in template if isinstance(piece, dict)] if isinstance(template, list) else []
            named = [str(_identity(piece.get("Sequence"))) for piece in pieces if "Sequence" in piece]
            if len(named) > len(set(named)):
                _refuse("post_processor", told, "puts a text in more than once")
            for piece in pieces:
                token = ids.get(str(_identity(piece.get("SpecialToken"))))
                stated = token.get("ids") if isinstance(token, dict) else None
                added += len(stated) if isinstance(stated, list) else 1
    if added > _MOST_SPECIAL:
        _refuse("post_processor", told, f"puts {added:,} special tokens around a text; at most {_MOST_SPECIAL:,} pass")


def _identity(piece: object) -> object:
    return piece.get("id") if isinstance(piece, dict) else None


def _check_model(stated: Mapping[str, object], told: str) -> None:
    """Refuses tokens, and marks of the parts of words, of a length that no vocabulary has."""
    model = stated.get("model")
    if not isinstance(model, dict):
        return
    for mark in ("continuing_subword_prefix", "end_of_word_suffix"):
        if len(str(model.get(mark) or "")) > _LONGEST_MARK:
            _refuse("model", told, f"has a `{mark}` of more than {_LONGEST_MARK} characters")
    word = model.get("max_input_chars_per_word")
    if isinstance(word, int) and word > _LONGEST_WORD:
        _refuse("model", told, f"has `max_input_chars_per_word: {word:,}`; at most {_LONGEST_WORD:,} pass")
    vocabulary = model.get("vocab")
    tokens: object = vocabulary
    if isinstance(vocabulary, list):
        tokens = [entry[0] for entry in vocabulary if isinstance(entry, list) and entry]
    added = stated.get("added_tokens")
    more = [entry.get("content") for entry in added if isinstance(entry, dict)] if isinstance(added, list) else []
    for texts in (tokens, more):
        if isinstance(texts, (list, dict)):
            longest = max((len(text) for text in texts if isinstance(text, str)), default=0)
            if longest > _LONGEST_TOKEN:
                _refuse("model", told, f"has a token of {longest:,} characters; at most {_LONGEST_TOKEN:,} pass")


def _refuse(section: str, told: str, why: str) -> NoReturn:
    raise ModelError(f"`{section}` in {told} {why}.", hint=_OTHER)
