"""Finds credentials in a row: secrets of known form (`hubtune.token_forms`), and values after a keyword.

Rows are full of examples, hashes and encoded data, so a value must also look random.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from hubtune.data.screening.spans import Span
from hubtune.token_forms import PASSWORD_IN_ADDRESS, PRIVATE_KEY, FoundToken, find_tokens

_WORDS = (
    r"pass(?:word|wd|phrase|code|wort|ord)|pwd|\bpw|(?<=[_-])pass|kennwort|mot\s?de\s?passe|mdp|contrase[ñn]a|clave|senha|"
    r"parola|wachtwoord|has[łl]o|l[öo]senord|adgangskode|salasana|[şs]ifre|jelsz[óo]|heslo|парол[ьяюе]|"
    r"密码|密碼|口令|パスワード|暗証番号|비밀번호"
)
_KEY = (
    r"(?:api|access|account|secret|private|encryption|signing|auth|client|master|service|shared|session|consumer|"
    r"subscription|deploy)[\s_-]?(?:key|secret|token)"
)
_WEAK = r"secret|token|credentials?|creds|auth|jwt"
_CUE = (
    rf"(?P<cue>(?P<strong>{_WORDS}|{_KEY})|(?:{_WEAK}))"
    r"(?:[_-]?(?:access[_-]?key|key|token|id|base|value|prod|live|dev|staging|test|\d{1,2}))?"
)
_IS = r"(?:is|was|to|ist|lautet|war|es|est|era|[eèé]|är|er|on|это|to\s?jest)(?:\s(?:now|jetzt))?"
_FAR = rf"(?:[ \t][^\W\d_]{{1,15}}){{1,3}}(?:[ \t]?:|[ \t]{_IS}:?)[ \t]|[은는이가][ \t]?:?[ \t]"
_GLUE = (
    r"(?:[\"'`\])]{0,2}[ \t]{0,3}(?:=>|:=|<-|->|==?|[:\N{FULLWIDTH COLON}])[ \t]{0,3}"
    rf"|[ \t]{_IS}:?[ \t]|は|[>][ \t]?|[ \t]?\([ \t]?(?=[\"'`])"
    r"|[\"'][ \t]?(?:\{[ \t]?default[ \t]?=|,?[ \t]value[ \t]?=|,)[ \t]?(?=[\"'`])|[ \t](?=[\"'`]))"
)
_VALUE = r"(?:(?P<quote>[\"'`])(?P<quoted>[^\s\"'`]{8,200})(?P=quote)|(?P<bare>[^\s\"'`,;<>(){}\[\]]{8,200})(?![(\[{]))"
_ASSIGNED = re.compile(_CUE + _GLUE + _VALUE, re.IGNORECASE)
# Without a sign between them, the word may be part of a sentence: the value has to look random by itself.
_NEXT = re.compile(
    rf"(?:(?<!\w){_CUE}|(?<![\w-])(?:login|bearer|basic))[ \t:]{{1,3}}(?:(?:token|bearer|basic|apikey)[ \t]{{1,3}})?"
    r"(?P<bare>[\w+/=~.!#$%^&*-]{8,300})(?![(\[{])",
    re.IGNORECASE,
)
# Further words are between: "the password for the router is".
_LATER = re.compile(rf"{_CUE}(?:{_FAR})[\"'`]?(?P<bare>[^\s\"'`,;<>(){{}}\[\]]{{8,200}})(?![(\[{{])", re.IGNORECASE)
# Clients that take the value right behind the letter of its option.
_ATTACHED = re.compile(
    r"\b(?:mysql(?:dump|admin)?|mariadb|sshpass|mongo|7z|unrar|zip)\b[^\n]{0,80}?[ \t]-[pP](?P<bare>[^\s\"'`]{8,128})"
)
# An entry of a list of settings: its name, then its value on the next line.
_ENTRY = re.compile(
    rf"\bname[\"']?[ \t]?[:=][ \t]?[\"']?[\w-]*{_CUE}[\"']?,?[ \t]*\n[ \t]*[\"']?value[\"']?[ \t]?[:=][ \t]?{_VALUE}",
    re.IGNORECASE,
)
# A user's name, then the value: as an option of curl, in a sentence or setting, and as a pair in code.
_OPTION = r"(?<!\S)(?:-u|--user|--proxy-user)[ =][\"']?[\w.@+-]{1,64}:"
_LOGIN = r"\b(?:login|user(?:name)?|account|creds|credentials?)[ \t]?[:=]?[ \t][\w.@+-]{1,64}[ \t]?[/|:][ \t]?"
_PAIR = r"\bauth\w{0,8}[ \t]?=[ \t]?\([ \t]?[\"'][^\"'\n]{1,64}[\"'],[ \t]?[\"']"
_USER = re.compile(rf"(?:{_OPTION}|{_LOGIN}|{_PAIR})(?P<bare>[^\s\"'`,;<>(){{}}\[\]]{{8,128}})", re.IGNORECASE)
_WORTH_IT = re.compile(rf"{_WORDS}")
_ANNOUNCING = (
    "key",
    "secret",
    "token",
    "cred",
    "auth",
    "jwt",
    "login",
    "bearer",
    "basic",
    "-u",
    "-p",
    "pw",
    "user",
    "account",
    "pass",
)

_EXAMPLE = re.compile(r"example|your|change.?me|xxx|\*\*|placeholder|dummy|redacted|\.\.\.|1234567", re.IGNORECASE)
_COMMON = re.compile(
    r"(?:my|test|the|new|old|user|name|admin|root|some|pass(?:word|wd|wort|phrase)?|secret|token|key|api|auth|login|"
    r"qwerty|abc|foo|bar|[\d\W_])+",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r"\$[\w({]|%\w+%|(?:os\.|process\.|sys\.)?env|[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_]|[a-z][a-z0-9+.-]*://|[./~]+\w|"
    r"sha\d+[:-]|0x[0-9a-f]{1,40}\Z|\\|\^",
    re.IGNORECASE,
)
_QUERY = re.compile(r"[?&][\w.-]*\Z")
_ENDS = ".!?:"
_FEWEST_DISTINCT = 7
_FEWEST_CAPITALS = 0.3
# Letters in two cases and digits, drawn at random, change their kind at six places of ten; names of things, at one.
_OFTEN, _SHORT = 0.25, 20
_OFTEN_IN_SHORT = 0.3


def find_announced(text: str) -> Iterator[Span]:
    """Finds values after a keyword; a value that several rules find is returned several times."""
    lowered = text.lower()
    if not (any(mark in lowered for mark in _ANNOUNCING) or _WORTH_IT.search(lowered)):
        return
    for found in _ASSIGNED.finditer(text):
        span = _value(found, in_query=text[max(0, found.start() - 64) : found.start()])
        if span is None:
            continue
        value = text[slice(*span)]
        if is_mixed(value) if found["strong"] else is_random(value):
            yield Span(*span, "secret")
    for pattern in (_NEXT, _USER, _LATER, _ATTACHED, _ENTRY):
        for found in pattern.finditer(text):
            span = _value(found)
            if span is not None and is_random(text[slice(*span)]):
                yield Span(*span, "secret")


def is_placeholder(value: str) -> bool:
    """Whether the value is a placeholder for the reader's own value."""
    return bool(_EXAMPLE.search(value)) or len(set(value)) < _FEWEST_DISTINCT or bool(_COMMON.fullmatch(value))


def is_mixed(value: str) -> bool:
    """Whether there are letters and digits, and the value is neither a placeholder nor a name.

    Letters alone will do if capitals are as many as the others and among them, which no name of a variable has.
    """
    if is_placeholder(value) or _REFERENCE.match(value):
        return False
    letters = [character.isupper() for character in value if character.isalpha()]
    if any(character.isdigit() for character in value):
        return bool(letters)
    changes = sum(one != other for one, other in pairwise(letters))
    return _FEWEST_CAPITALS <= sum(letters) / max(1, len(letters)) <= 1 - _FEWEST_CAPITALS and changes >= 0.3 * len(
        letters
    )


def is_random(value: str) -> bool:
    """Whether lower case, upper case and digits alternate more often than in words and variable names."""
    if not is_mixed(value):
        return False
    kinds = [
        (character.isdigit(), character.isupper()) for character in value if character.isascii() and character.isalnum()
    ]
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= (_OFTEN if len(kinds) >= _SHORT else _OFTEN_IN_SHORT) * (len(kinds) - 1)


def _value(found: re.Match[str], in_query: str = "") -> tuple[int, int] | None:
    """Returns where the value stands, without what ends a sentence or a part of an address."""
    groups = found.groupdict()
    if groups.get("quoted") is not None:
        return found.span("quoted")
    start, value = found.start("bare"), found["bare"]
    if _QUERY.search(in_query):
        value = value.partition("&")[0]
    value = value.rstrip(_ENDS)
    return (start, start + len(value)) if len(value) >= 8 else None


def find_secrets(text: str) -> Iterator[Span]:
    """Finds credentials: by their form, in URLs, and after keywords.

    Missed are passwords made of words, and values that neither a form nor a word gives away.
    """
    known = list(_known(text))
    yield from known
    # A token of known form ends where it ends, whatever is behind it.
    yield from (span for span in find_announced(text) if not any(span.overlaps(other) for other in known))


def _known(text: str) -> Iterator[Span]:
    for found in find_tokens(text):
        value = text[found.start : found.end]
        if found.form is PRIVATE_KEY:
            yield Span(found.start, found.start + len(value.rstrip()), "secret")
        elif found.form is PASSWORD_IN_ADDRESS:
            if is_mixed(value):
                yield Span(found.start, found.end, "secret")
        elif _stands_alone(text, found) and not is_placeholder(value):
            yield Span(found.start, found.end, "secret")


def _stands_alone(text: str, found: FoundToken) -> bool:
    """Whether the token is not part of a longer word, such as the Base64 of a picture."""
    beside = text[max(0, found.start - 1) : found.start] + text[found.end : found.end + 1]
    return not any(character in "+/" for character in beside)
