"""Pins: which commit each input's revision meant, with the licence found there.

`pins.json` of a run and `hubtune.lock` have the shape of `PinSet`; `licenses.json` records the decision on the licence.
"""

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from hubtune.records.base import Record

Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
# As many as a config may name, of the training and of an earlier task.
_MOST_DATA = 500
RepoType = Literal["model", "dataset"]
InputKind = Literal["base", "data"]


class Pin(Record):
    """One repository at one commit.

    Attributes:
        repo: The repository's id on the Hub.
        type: Whether it is a model or a data set.
        requested: The revision that the config asks for: a branch, a tag, refs/pr/N or a commit.
        commit: The commit that `requested` meant when it was pinned.
        license: The licence that the repository's card states at that commit; null if it states none.
        gated: Whether readers have to accept conditions first, and how that is granted.
    """

    repo: str
    type: RepoType
    requested: str
    commit: Commit
    license: str | list[str] | None = None
    gated: Literal[False, "auto", "manual"] = False


def stated_licenses(license: str | list[str] | None) -> list[str]:
    """Returns a pin's licence as a list: empty if the repository states none."""
    entries = [license] if isinstance(license, str) else license or []
    return [entry for entry in entries if entry.strip()]


class PinSet(Record):
    """Every input of a run that is a repository; the tokenizer is the base model's, from the same commit.

    Attributes:
        adapter: The adapter that was trained further; absent from the file where a new one was trained.
        earlier: Data sets that the model learned before; absent from the file where there are none.
    """

    base: Pin
    data: Annotated[list[Pin], Field(max_length=_MOST_DATA)]
    adapter: Pin | None = None
    earlier: list[Pin] = Field(default=[], max_length=_MOST_DATA)

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        values: dict[str, object] = write(self)
        return {key: value for key, value in values.items() if key not in ("adapter", "earlier") or value}

    def all(self) -> list[Pin]:
        """Returns the pins, the base model's first."""
        return [self.base, *([] if self.adapter is None else [self.adapter]), *self.data, *self.earlier]


class LicensedInput(Record):
    """One input and its licence.

    Attributes:
        kind: Whether the base model or a data set.
        repo: The repository; null for a licence that is looked at without one.
        file: The name of a local file, which has no repository.
        commit: Where its card and its licence files were read.
        licenses: What its card states, as it states it; several count as all of them, none as a missing licence.
        license_name: The card's `license_name`.
        license_link: The card's `license_link`: an address, or a file of the repository.
        files: Its licence, notice and policy files: path to sha256.
    """

    kind: InputKind
    repo: str | None = None
    file: str | None = None
    commit: Commit | None = None
    licenses: list[str]
    license_name: str | None = None
    license_link: str | None = None
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def license_files(self) -> list[str]:
        """Those of `files` that hold a licence, not a notice or a policy; the one that `license_link` names first."""
        found = [name for name in self.files if name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
        return sorted(found, key=lambda name: (name != self.license_link, len(name), name))

    @property
    def label(self) -> str:
        """What to call the input: its repository where there is one."""
        return self.repo or self.file or f"the {'base model' if self.kind == 'base' else 'data set'}"


class LicenseRecord(Record):
    """The licences of all inputs of a run, the base model's first. `upstream` holds the digest of the pins."""

    upstream: dict[str, str]
    inputs: list[LicensedInput]
