"""What each input says of its licence, at its pinned commit. `licenses.json` of a run has this shape."""

from typing import Literal

from pydantic import Field

from hubtune.records.base import Record
from hubtune.records.pins import Commit

InputKind = Literal["base", "data"]


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
