"""Tags as versions: the newest tag, and the next one."""

from collections.abc import Iterable
from typing import Literal

from packaging.version import InvalidVersion, Version

from hubtune.config.fields import check_tag

Bump = Literal["patch", "minor", "major"]
BUMPS: tuple[Bump, ...] = ("patch", "minor", "major")
"""From the smallest to the largest."""
FIRST = "v1.0.0"


def version_of(tag: str) -> Version | None:
    """Returns the version that a tag names; None for a tag that hubtune would not give a release."""
    try:
        return Version(check_tag(tag))
    except (ValueError, InvalidVersion):
        return None


def newest_first(tags: Iterable[str]) -> list[str]:
    """Returns the tags that are versions, the newest first, then the others by name."""
    known = {tag: version for tag in sorted(tags) if (version := version_of(tag)) is not None}
    return [*sorted(known, key=known.__getitem__, reverse=True), *sorted(set(tags) - set(known))]


def newest_version(tags: Iterable[str]) -> str | None:
    """Returns the tag of the newest version; one before its final version counts if there is no other."""
    versions = [tag for tag in newest_first(tags) if version_of(tag) is not None]
    final = (tag for tag in versions if not _before_final(tag))
    return next(final, versions[0] if versions else None)


def next_tag(newest: str | None, bump: Bump) -> str:
    """Returns the tag that follows the newest version; a pre-release is followed by its final version."""
    version = version_of(newest) if newest is not None else None
    if version is None:
        return FIRST
    if version.is_prerelease:
        return f"v{version.major}.{version.minor}.{version.micro}"
    return {
        "patch": f"v{version.major}.{version.minor}.{version.micro + 1}",
        "minor": f"v{version.major}.{version.minor + 1}.0",
        "major": f"v{version.major + 1}.0.0",
    }[bump]


def _before_final(tag: str) -> bool:
    version = version_of(tag)
    return version is not None and version.is_prerelease
