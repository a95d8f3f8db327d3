"""What a person sees of a verification: a line for each claim, and one that says what they come to."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubtune.records.verification import VerificationRecord

_SIGNS = {"confirmed": "✓", "contradicted": "✗", "unchecked": "?"}
_PLAIN = {"confirmed": "+", "contradicted": "!", "unchecked": "?"}


def claim_lines(record: "VerificationRecord") -> list[str]:
    """Returns a line for each claim, and what they mean together."""
    signs = _signs()
    width = max(len(claim.name) for claim in record.claims)
    lines = [f"{signs[claim.status]} {claim.name:{width}}  {claim.status}: {claim.detail}" for claim in record.claims]
    return [*lines, "", _meaning(record)]


def _meaning(record: "VerificationRecord") -> str:
    what = f"{record.repo}@{record.requested}"
    status = {claim.name: claim.status for claim in record.claims}
    if record.contradicted:
        names = ", ".join(claim.name for claim in record.contradicted)
        return f"{what} is not what it says: do not rely on it ({names})."
    open_ = [name for name, found in status.items() if found == "unchecked" and name != "origin"]
    checked = f"What was checked of {what} agrees" + (f" (not checked: {', '.join(open_)})" if open_ else "")
    if status["origin"] == "confirmed":
        return f"{checked}, and it is the commit that you gave."
    return f"{checked}. That shows that it is consistent, and not who published it: it is not signed."


def _signs() -> dict[str, str]:
    try:
        "".join(_SIGNS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN
    return _SIGNS
