"""The legal files of a release: its LICENSE, a NOTICE with every attribution, and the texts of the inputs' licenses."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from hubtune.card.licensing.decision import LicenseDecision
from hubtune.card.licensing.rules import OTHER, UNKNOWN, Term, license_table
from hubtune.records.base import LicensedInput

LICENSE_FILE = "LICENSE"
NOTICE_FILE = "NOTICE"
TEXTS_FOLDER = "LICENSES"
_HOLDERS = ("<copyright holders>", "<owner>")
_SHORT = 7
_RULE = "=" * 78

Folders = Mapping[tuple[str, str, str], Path]
"""Snapshot of each input, by kind, repository and commit."""


def license_files(decision: LicenseDecision, folders: Folders, *, owner: str, year: int) -> dict[str, bytes]:
    """Returns path and content of every legal file that a release ships.

    Args:
        decision: What was decided; not a refusal.
        folders: Where the inputs' own files are.
        owner: Who publishes the release, for the licenses whose text names its holder.
        year: When it was made, likewise.
    """
    files = {path: content for item in _inputs(decision) for path, content in _own_files(item, folders)}
    files |= {path: text.encode() for path, text in _lacking_texts(decision)}
    text = _license_text(decision, folders, owner, year)
    if text is not None:
        files[LICENSE_FILE] = text
    files[NOTICE_FILE] = notice(decision).encode()
    return dict(sorted(files.items()))


def notice(decision: LicenseDecision) -> str:
    """Returns the text of NOTICE: the inputs of the release, their terms, and required statements."""
    parts = ["This release was made from:", *(f"- {line}" for line in decision.attributions)]
    said = [duty.shown for duty in decision.duties if duty.kind in ("notice", "changes", "display") and duty.shown]
    kinds = ("non_commercial", "share_alike", "use_restrictions", "clause")
    terms = [duty.shown or duty.text for duty in decision.duties if duty.kind in kinds]
    signed = [duty.text for duty in decision.duties if duty.kind == "accepted"]
    for title, lines in (
        ("Notices:", said),
        ("Terms of the inputs that hold for this release:", terms),
        ("Signed off by the publisher, where no grant is known:", signed),
    ):
        if lines:
            parts += ["", title, *(f"- {line}" for line in dict.fromkeys(lines))]
    parts += ["", f"The inputs' own licence files are in {TEXTS_FOLDER}/. This is not legal advice."]
    return "\n".join(parts) + "\n"


def own_folder(item: LicensedInput) -> str:
    """Returns the folder of a release for the legal files of an input."""
    kind = "models" if item.kind == "base" else "datasets"
    return f"{TEXTS_FOLDER}/{kind}/{item.repo}/{(item.commit or '')[:_SHORT]}"


def _inputs(decision: LicenseDecision) -> list[LicensedInput]:
    found: list[LicensedInput] = []
    for term in decision.terms:
        if term.input not in found:
            found.append(term.input)
    return found


def _own_files(item: LicensedInput, folders: Folders) -> Iterator[tuple[str, bytes]]:
    folder = _folder(item, folders)
    for name in item.files if folder is not None else ():
        assert folder is not None
        yield f"{own_folder(item)}/{name}", (folder / name).read_bytes()


def _folder(item: LicensedInput, folders: Folders) -> Path | None:
    return folders.get((item.kind, item.repo or "", item.commit or ""))


def _lacking_texts(decision: LicenseDecision) -> Iterator[tuple[str, str]]:
    """Yields the texts that have to travel along if an input's repository has none, from those of hubtune."""
    holders: dict[str, list[str]] = {}
    for term in decision.terms:
        if term.license.flags and not term.input.license_files:
            holders.setdefault(term.license.id, []).append(term.input.label)
    for license, labels in holders.items():
        text = license_table().text_of(license_table().find(license))
        if text is not None:
            named = ", ".join(dict.fromkeys(labels))
            yield f"{TEXTS_FOLDER}/{license}.txt", _filled(text, f"the copyright holders of {named}")


def _license_text(decision: LicenseDecision, folders: Folders, owner: str, year: int) -> bytes | None:
    if decision.license in (None, UNKNOWN):
        return None
    assert decision.license is not None
    same = [term for term in decision.terms if term.license.id == decision.license and term.license.id != OTHER]
    for term in sorted(same, key=lambda term: term.input.kind):
        own = _license_file(term, folders)
        if own is not None:
            return own
    license = license_table().find(decision.license)
    text = license_table().text_of(license)
    if text is not None:
        return _filled(text, owner, year).encode()
    if decision.license == OTHER and decision.terms:
        return _combined(decision, folders)
    # A license whose text is not available was refused.
    return None


def _combined(decision: LicenseDecision, folders: Folders) -> bytes:
    non_commercial = any("NC" in term.license.flags for term in decision.terms)
    head = []
    if decision.license_link and decision.license_link != LICENSE_FILE:
        head += [f"This release is licensed under {decision.license_name}: {decision.license_link}", ""]
    head += ["The terms of all these licenses apply to this release. Their texts are below:", ""]
    head += [f"- {line}" for line in decision.attributions]
    if non_commercial:
        head += ["", "This release may be used for non-commercial purposes only."]
    parts = ["\n".join(head).encode()]
    shown: set[bytes] = set()
    for term in decision.terms:
        own = _license_file(term, folders)
        shipped = license_table().text_of(term.license)
        body = own or (_filled(shipped, f"the copyright holders of {term.input.label}").encode() if shipped else None)
        if body is None:
            body = f"See {term.input.license_link or term.license.url or term.input.label}.".encode()
        if body not in shown:
            parts.append(f"{_RULE}\n{_title(term)}\n{_RULE}\n\n".encode() + body.strip())
            shown.add(body)
    return b"\n\n".join(parts) + b"\n"


def _title(term: Term) -> str:
    return f"{term.input.license_name or term.license.name} ({term.input.label})"


def _license_file(term: Term, folders: Folders) -> bytes | None:
    folder, names = _folder(term.input, folders), term.input.license_files
    return (folder / names[0]).read_bytes() if folder is not None and names else None


def _filled(text: str, holder: str, year: int | None = None) -> str:
    for blank in _HOLDERS:
        text = text.replace(f"<year> {blank}", f"{year} {holder}" if year else holder)
    return text
