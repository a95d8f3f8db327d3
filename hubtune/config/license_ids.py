"""The licence identifiers that the Hub accepts in a card's metadata, and what a misspelt one may have meant."""

import difflib
import re

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
    """Says what is wrong with a licence id, with the ids that it may have meant; None if the Hub knows it."""
    if license in LICENSE_IDS:
        return None
    close = misspelt_license(license) or difflib.get_close_matches(license.lower(), LICENSE_IDS, n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{license!r} is not a licence identifier of the Hub{meant}"


def misspelt_license(license: str) -> list[str]:
    """Returns the ids of the Hub that a text is but for its spelling, such as gpl-3.0 for gpl3."""
    plain = _plain(license).removesuffix("0")
    return [known for known in LICENSE_IDS if plain and license != known and _plain(known).removesuffix("0") == plain]


def _plain(license: str) -> str:
    """Returns the letters and digits of an id, in which `gpl3`, `GPLv3` and `gpl-3.0` differ by a last 0 at most."""
    return re.sub(r"v(?=\d)|[^a-z0-9+]", "", license.lower())
