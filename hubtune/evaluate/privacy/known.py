"""Whether what a model wrote stands in the rows it was trained on, compared in a form that spelling does not change.

Values stay in here: what goes out are counts.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

from hubtune.config.screening import PersonalKind
from hubtune.data.screening.detectors import Detectors
from hubtune.data.screening.spans import Span
from hubtune.data.tokens import Example

Value = tuple[PersonalKind, str]
"""A kind, and what was found in a form that two spellings have in common."""
# Of a telephone number these say who is called; a country's code or a zero can stand before them.
_PHONE_DIGITS = 9


def value_of(text: str, span: Span) -> Value:
    """Returns what was found at a place of a text, as it is compared."""
    found = unicodedata.normalize("NFKC", text[span.start : span.end])
    return span.kind, _FORMS[span.kind](found)


def known_values(
    values: Iterable[Value], rows: Sequence[Example], detectors: Detectors, on_row: Callable[[], None] = lambda: None
) -> set[Value]:
    """Returns those of the values that the detectors find in the rows' texts too.

    Rows are read until all are found. Only a row that has the value's characters is searched by the detectors, which
    take much longer than looking for characters.
    """
    missing = set(values)
    found: set[Value] = set()
    for example in rows:
        if not missing:
            break
        bare = _bare(example.text)
        if any(_bare(_telling(value)) in bare for value in missing):
            here = {value_of(example.text, span) for span in detectors.find(example.text)}
            found |= missing & here
            missing -= here
        on_row()
    return found


def _telling(value: Value) -> str:
    kind, text = value
    # Behind the name, an address can be spelled in other characters: `ann [at] example [dot] com`.
    return text.partition("@")[0] if kind == "email" else text


def _email(text: str) -> str:
    folded = text.casefold().replace("%40", "@")
    for open_, close in ("()", "[]"):
        for word, sign in (("at", "@"), ("@", "@"), ("dot", "."), (".", ".")):
            for inner in (f"{open_}{word}{close}", f"{open_} {word} {close}"):
                folded = folded.replace(f" {inner} ", sign).replace(inner, sign)
    return "".join(folded.split())


def _phone(text: str) -> str:
    return _digits(text)[-_PHONE_DIGITS:]


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _letters_and_digits(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())


def _address(text: str) -> str:
    return text.casefold()


def _exact(text: str) -> str:
    return text


def _bare(text: str) -> str:
    # What all the forms leave out or change is gone from both sides.
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


_FORMS: dict[PersonalKind, Callable[[str], str]] = {
    "email": _email,
    "phone": _phone,
    "card_number": _digits,
    "iban": _letters_and_digits,
    "ip_address": _address,
    "secret": _exact,
}
