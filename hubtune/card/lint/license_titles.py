"""Recognises a licence file by the titles that stand in it."""

import re

from hubtune.config.license_ids import LICENSE_IDS

_LOOKED_AT = 200_000


def _title(words: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t#*=<>-]{{0,80}}(?:the )?{words}", re.IGNORECASE | re.MULTILINE)


_TITLES = tuple(
    (_title(words), license)
    for words, license in (
        (r"apache license,?\s{1,80}version 2\.0", "apache-2.0"),
        (r"mit license\b", "mit"),
        (r"permission is hereby granted, free of charge, to any person obtaining", "mit"),
        (r"isc license\b", "isc"),
        (r"bsd 2-clause", "bsd-2-clause"),
        (r"bsd 3-clause", "bsd-3-clause"),
        (r"gnu affero general public license\s{1,80}version 3", "agpl-3.0"),
        (r"gnu lesser general public license\s{1,80}version 3", "lgpl-3.0"),
        (r"gnu lesser general public license\s{1,80}version 2\.1", "lgpl-2.1"),
        (r"gnu general public license\s{1,80}version 3", "gpl-3.0"),
        (r"gnu general public license\s{1,80}version 2", "gpl-2.0"),
        (r"mozilla public license,?\s{1,80}version 2\.0", "mpl-2.0"),
        (r"this is free and unencumbered software", "unlicense"),
        (r"odc open database license", "odbl"),
        (r"open database license", "odbl"),
        (r"odc attribution license", "odc-by"),
        (r"open data commons attribution license", "odc-by"),
        (r"(?:odc|open data commons) public domain dedication (?:and|&) licen[cs]e", "pddl"),
        (r"do what the fuck you want to public license", "wtfpl"),
        (r"(?:creative commons )?(?:legal code\s{1,80})?cc0 1\.0 universal", "cc0-1.0"),
        (r"creativeml open rail-m", "creativeml-openrail-m"),
        (r"bigscience (?:open )?rail", "bigscience-bloom-rail-1.0"),
        (r"llama 2 community license", "llama2"),
        (r"(?:meta )?llama 3 community license", "llama3"),
        (r"llama 3\.1 community license", "llama3.1"),
        (r"llama 3\.2 community license", "llama3.2"),
        (r"llama 3\.3 community license", "llama3.3"),
        (r"llama 4 community license", "llama4"),
        (r"gemma terms of use", "gemma"),
    )
)
_CREATIVE_COMMONS = re.compile(
    r"^[ \t#*=-]{0,80}(?:creative commons )?attribution(-noncommercial)?(?:-(sharealike|noderiv\w{1,10}))? "
    r"(\d\.\d)",
    re.IGNORECASE | re.MULTILINE,
)
_BSD = re.compile(r"redistribution and use in source and binary forms", re.IGNORECASE)
_BSD_THIRD = re.compile(r"neither the names? of", re.IGNORECASE)
_FAMILIES = {"cc": "cc-", "gpl": "gpl-", "lgpl": "lgpl-", "bsd": "bsd-", "openrail": "openrail"}


def licenses_in(text: str) -> frozenset[str]:
    """Returns the identifiers of the licences whose titles stand in a text; none where none is recognised."""
    text = text[:_LOOKED_AT]
    found = {license for pattern, license in _TITLES if pattern.search(text)}
    for match in _CREATIVE_COMMONS.finditer(text):
        limit = "-sa" if (match[2] or "").lower() == "sharealike" else "-nd" if match[2] else ""
        found.add(f"cc-by{'-nc' if match[1] else ''}{limit}-{match[3]}")
    if _BSD.search(text) and not found:
        found.add("bsd-3-clause" if _BSD_THIRD.search(text) else "bsd-2-clause")
    return frozenset(found)


def family(license: str) -> frozenset[str]:
    """Returns the identifiers that a licence may stand for: of a family's, all members."""
    mark = _FAMILIES.get(license)
    members = frozenset(known for known in LICENSE_IDS if mark and known.startswith(mark))
    return members | {license}
