"""The types of the config's fields: each kind of text is checked here, once, and its error shows an example.

Repository ids, license ids, tags, branches, commits, splits, columns, templates and encodings each have a type. Each
type has a check for the loader, which raises ValueError, and the part of it that a JSON schema can express, so that
editors refuse what the loader refuses. Other code that reads such a text uses the checks too.
"""

import codecs
import difflib
import re
import string
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Union, get_args, get_origin
from urllib.parse import urlsplit

import pydantic
from packaging.version import InvalidVersion, Version
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from hubtune.errors import ConfigError

# The identifiers that https://huggingface.co/docs/hub/repositories-licenses documents.
LICENSE_IDS: tuple[str, ...] = (
    *("afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "apple-ascl", "artistic-2.0"),
    *("bigcode-openrail-m", "bigscience-bloom-rail-1.0", "bigscience-openrail-m"),
    *("bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0"),
    *("c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0"),
    *("cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    *("cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0"),
    *("cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "creativeml-openrail-m"),
    *("deepfloyd-if-license", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2"),
    *("fair-noncommercial-research-license", "gemma", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "grok2-community"),
    *("h-research", "intel-research", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr"),
    *("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "lppl-1.3c"),
    *("mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "openmdw-1.0", "openmdw-1.1"),
    *("openrail", "openrail++", "osl-3.0", "pddl", "postgresql", "unlicense", "wtfpl", "zlib"),
    *("unknown", "other"),
)


def unknown_license(license: str) -> str | None:
    """Says what is wrong with a license id, with the ids that it may have meant; None if the Hub knows it."""
    if license in LICENSE_IDS:
        return None
    close = misspelt_license(license) or difflib.get_close_matches(license.lower(), LICENSE_IDS, n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{license!r} is not a license identifier of the Hub{meant}"


def misspelt_license(license: str) -> list[str]:
    """Returns the ids of the Hub that a text differs from in its spelling alone, such as gpl-3.0 for gpl3."""
    plain = _plain(license).removesuffix("0")
    return [known for known in LICENSE_IDS if plain and license != known and _plain(known).removesuffix("0") == plain]


def _plain(license: str) -> str:
    """Returns the letters and digits of an id, in which `gpl3`, `GPLv3` and `gpl-3.0` differ by a last 0 at most."""
    return re.sub(r"v(?=\d)|[^a-z0-9+]", "", license.lower())


# The Hub's own rule, as documented for `huggingface_hub.utils.validate_repo_id`.
_ID_PART = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?", re.ASCII)
_TAG = re.compile(r"v\d+\.\d+\.\d+(?:[-.]?(?:a|b|rc|alpha|beta|dev|post)\.?\d+)?")
_NOT_IN_REFS = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|^@$")
_SPLIT = re.compile(r"\w[\w.-]*(?:\[(?:-?\d+%?)?:(?:-?\d+%?)?\])?")
# Codecs of text that write no files: of domain names, of source code, of this machine only, and one that only fails.
_ODD_CODECS = frozenset(
    {"idna", "punycode", "unicode_escape", "unicode-escape", "raw_unicode_escape", "raw-unicode-escape", "undefined"}
    | {"mbcs", "oem", "utf-7"}
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_repo_id(value: str) -> str:
    """Returns `value` if it is a Hub repository id (`name` or `namespace/name`), else raises ValueError."""
    parts = value.split("/")
    well_formed = len(parts) in (1, 2) and all(_ID_PART.fullmatch(part) for part in parts)
    if not well_formed or "--" in value or ".." in value or value.endswith(".git") or len(value) > 96:
        raise ValueError(
            f"{value!r} is not a repository id; write namespace/name with letters, digits, '-', '_' and '.', "
            "such as org/quotes-lora (a local path cannot be used here; a data file is named as data[].path)"
        )
    return value


def check_target_repo_id(value: str) -> str:
    """Like `check_repo_id`, and demands the namespace: a release has to name its owner."""
    if "/" not in check_repo_id(value):
        raise ValueError(f"{value!r} has no namespace; write it as namespace/name, such as org/{value}")
    return value


PUBLIC_HUB = "https://huggingface.co"
"""The address of the public Hub, which clients ask unless HF_ENDPOINT names another."""


def require_endpoint(value: str) -> None:
    """Checks the address of a Hub.

    Raises:
        ConfigError: No Hub can have it; credentials in it are not repeated.
    """
    fault = _endpoint_fault(value)
    if fault is not None:
        raise ConfigError(
            f"HF_ENDPOINT is not the address of a Hub: {fault}.",
            hint="Set it to an address such as http://127.0.0.1:8931, or unset it for the public Hub.",
        )


def _endpoint_fault(value: str) -> str | None:
    if "@" in value:
        return "it holds a user or a password; a token goes into HF_TOKEN"
    if not value.isascii() or not value.isprintable() or " " in value:
        return f"{value!r} holds a space or another character that no address has"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return f"{value!r} is not a URL with a host and a port up to 65535"
    if parts.scheme not in ("http", "https"):
        return f"{value!r} does not begin with http:// or https://"
    if not parts.hostname or port == 0 or parts.query or parts.fragment:
        return f"{value!r} is not the URL of a host"
    return None


def check_tag(value: str) -> str:
    """Returns `value` if it is a version tag such as v1.0.0 or v2.1.0-rc1, else raises ValueError."""
    try:
        Version(value)
    except InvalidVersion:
        well_formed = False
    else:
        well_formed = bool(_TAG.fullmatch(value))
    if not well_formed:
        raise ValueError(f"{value!r} is not a version; write v, then major.minor.patch, such as v1.0.0 or v1.1.0-rc1")
    return value


def check_branch(value: str) -> str:
    """Returns `value` if git would make a branch of that name (git-check-ref-format), else raises ValueError."""
    # What git reads as an option, as HEAD, as a commit or as a full ref is well formed, and no branch all the same.
    odd = value.startswith(("-", "refs/")) or value == "HEAD" or is_commit(value)
    components = value.split("/")
    malformed = (
        not value
        or len(value) > 200
        or _NOT_IN_REFS.search(value) is not None
        or value.endswith(".")
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in components)
    )
    if odd or malformed:
        raise ValueError(
            f"{value!r} is not the name of a branch; write letters, digits, '-', '_', '.' and '/', such as next"
        )
    return value


def check_column(value: str) -> str:
    """Returns `value` if a template could name it, else raises ValueError."""
    if not value or any(character in value for character in "{}.[]!:"):
        raise ValueError(f"{value!r} cannot be used as a column: its name is empty or holds one of {{ }} . [ ] ! :")
    return value


def is_commit(value: str) -> bool:
    """Whether `value` is a full commit id: 40 hexadecimal digits in lower case."""
    return bool(_COMMIT.fullmatch(value))


def check_commit(value: str) -> str:
    """Returns `value` if it is a full commit id, else raises ValueError."""
    if not is_commit(value):
        raise ValueError(f"{value!r} is not a commit: 40 hexadecimal digits in lower case")
    return value


def check_template(value: str) -> str:
    """Returns `value` if it is a row template with at least one `{column}` field, else raises ValueError."""
    if not template_columns(value):
        raise ValueError(
            f'{value!r} names no column; write a column in braces, such as "Quote by {{author}}: {{quote}}"'
        )
    return value


def template_columns(template: str) -> tuple[str, ...]:
    """Returns the columns that `template` names, in order of first use.

    Raises:
        ValueError: The braces do not match, or a field is anything but a plain column name (an attribute, an index or
            a conversion could reach into Python objects).
    """
    columns: list[str] = []
    for _, field, spec, conversion in string.Formatter().parse(template):
        if field is None:
            continue
        if not field or spec or conversion or any(character in field for character in ".[]!:"):
            raise ValueError(f"the field {{{field}}} of the template is not a plain column name")
        if field not in columns:
            columns.append(field)
    return tuple(columns)


def check_split(value: str) -> str:
    """Returns `value` if it names a split, a part of one or a sum of such, else raises ValueError."""
    if not all(_SPLIT.fullmatch(part.strip()) for part in value.split("+")):
        raise ValueError(
            f"{value!r} is not a split; write its name, or a part of it such as train[:10%] or train[100:]"
        )
    return value


def check_separator(value: str) -> str:
    r"""Returns `value` if it can be between the cells of a table, else raises ValueError; `\t` is a tab, too."""
    separator = "\t" if value == "\\t" else value
    if len(separator) != 1 or separator in '"\r\n\0\ufeff' or separator.isalnum():
        raise ValueError(
            f'{value!r} cannot separate cells; write one character in quotes, such as ";", "|" or "\\t" for a tab'
        )
    return separator


def check_encoding(value: str) -> str:
    """Returns `value` if it is the name of an encoding that files of text have, else raises ValueError."""
    try:
        codec = codecs.lookup(value)
        known = "\0" not in value and codec.name not in _ODD_CODECS and isinstance(b"a\n".decode(value, "replace"), str)
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ValueError(
            f"{value[:60]!r} is not an encoding of text; write its name as Python knows it, such as utf-8, utf-16, "
            "latin-1, cp1252, gbk or shift_jis"
        )
    return value


def _check_revision(value: str) -> str:
    odd = any(character.isspace() or character in "~^:?*[\\" for character in value)
    if not value or odd or ".." in value:
        raise ValueError(f"{value!r} is not a branch, tag, refs/pr/N or commit")
    return value


def _check_license(value: str) -> str:
    fault = None if value == "auto" else unknown_license(value)
    if fault is not None:
        raise ValueError(f"{fault} (`auto` selects the license that the inputs require)")
    return value


def _check_data_license(value: str) -> str:
    fault = unknown_license(value)
    if fault is not None:
        raise ValueError(fault)
    return value


@dataclass(frozen=True, eq=False)
class Also:
    """What a config may say besides a field's own type, for the JSON schema; a hook turns it into that type."""

    form: JsonSchemaValue

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: pydantic.GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(core), self.form]}


class OneOrSeveral:
    """Says in the JSON schema that an item may stand for the list with it alone; a hook makes that list."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: pydantic.GetJsonSchemaHandler) -> JsonSchemaValue:
        several = handler(core)
        return {"anyOf": [several["items"], several]}


TEXT_FILE: JsonSchemaValue = {
    "type": "object",
    "title": "`{file: PATH}`",
    "properties": {"file": {"type": "string", "description": "The file that holds the text, in the config's folder."}},
    "required": ["file"],
    "additionalProperties": False,
}
"""A text in a file of its own, which the loader reads in."""


def matching(pattern: str, fault: str) -> dict[str, pydantic.JsonValue]:
    """Returns the JSON schema of a text's pattern, with what editors say of a text that does not match it."""
    return {"pattern": pattern, "patternErrorMessage": fault}


def text_form(title: str, example: str, pattern: str, **more: object) -> pydantic.WithJsonSchema:
    """Returns the JSON schema of a checked text: its name, and what a pattern can say of the check."""
    fault = f"This is not a {title}; write one such as {example}."
    return pydantic.WithJsonSchema({"type": "string", "title": title, **matching(pattern, fault), **more})


def _license_form(*others: str) -> pydantic.WithJsonSchema:
    return pydantic.WithJsonSchema(
        {
            "enum": [*others, *LICENSE_IDS],
            "title": " or ".join(["license id", *(f"`{other}`" for other in others)]),
        }
    )


_ID = r"^(?!.*(?:--|\.\.|\.git$))%s[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
_NAMESPACE = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?/"
_SPLIT_FORM = r"[^\s\[\]+]+(?:\[(?:-?[0-9]+%?)?:(?:-?[0-9]+%?)?\])?"

RepoId = Annotated[
    str,
    pydantic.AfterValidator(check_repo_id),
    text_form("repository id", "org/base", _ID % f"(?:{_NAMESPACE})?", maxLength=96),
]
TargetRepoId = Annotated[
    str,
    pydantic.AfterValidator(check_target_repo_id),
    text_form("repository id", "org/quotes-lora", _ID % _NAMESPACE, maxLength=96),
]
Tag = Annotated[
    str,
    pydantic.AfterValidator(check_tag),
    text_form("version tag", "v1.0.0", f"^{_TAG.pattern}$".replace(r"\d", "[0-9]")),
]
Branch = Annotated[
    str,
    pydantic.AfterValidator(check_branch),
    text_form(
        "branch", "next", r"^(?!-|refs/|HEAD$|[0-9a-f]{40}$|.*(?:\.\.|@\{))[^\x00-\x20\x7f~^:?*\[\\]+$", maxLength=200
    ),
]
LicenseChoice = Annotated[str, pydantic.AfterValidator(_check_license), _license_form("auto")]
DataLicense = Annotated[str, pydantic.AfterValidator(_check_data_license), _license_form()]
Revision = Annotated[
    str,
    pydantic.AfterValidator(_check_revision),
    text_form("branch, tag or commit", "main", r"^(?!.*\.\.)[^\s~^:?*\[\\]+$"),
]
CommitId = Annotated[
    str,
    pydantic.AfterValidator(check_commit),
    text_form("commit", "0123456789abcdef0123456789abcdef01234567", f"^{_COMMIT.pattern}$"),
]
Split = Annotated[
    str,
    pydantic.AfterValidator(check_split),
    text_form("split", "train[:10%]", rf"^\s*{_SPLIT_FORM}\s*(?:\+\s*{_SPLIT_FORM}\s*)*$"),
]
Column = Annotated[str, pydantic.AfterValidator(check_column), text_form("column", "author", r"^[^{}.\[\]!:]+$")]
Separator = Annotated[
    str, pydantic.AfterValidator(check_separator), text_form("character", "';'", r"^(?:\\t|[^A-Za-z0-9\"\r\n])$")
]
Encoding = Annotated[str, pydantic.AfterValidator(check_encoding), text_form("encoding", "latin-1", r"^[^\x00]+$")]
Template = Annotated[
    str, pydantic.AfterValidator(check_template), text_form("template", "'{author}: {quote}'", r"\{[^{}.\[\]!:]+\}")
]


class ConfigSection(pydantic.BaseModel):
    """A part of the config: frozen, and closed, so that a key that is not known is an error.

    Numbers are finite, and `true` is not one: Python takes it for 1, and YAML 1.1 takes `yes` and `on` for it.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: pydantic.ValidationInfo) -> object:
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise PydanticCustomError("int_type" if int in kinds else "float_type", "this has to be a number")
        return value


def _kinds(annotation: object) -> set[object]:
    """Returns the types that a value may have, of those that are joined with `|`."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return {kind for choice in get_args(annotation) for kind in _kinds(choice)}
    return {annotation}
