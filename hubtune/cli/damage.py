"""What a person sees of a check of the embedded Hub's files."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubtune.pipeline.fsck import DamageRecord, FsckRecord, PlaceRecord

_MOST_PLACES = 20


def damage_lines(record: "FsckRecord") -> list[str]:
    """Returns a line for what was checked, then each thing that is wrong with the places where it is in use."""
    lines = [
        f"Checked {record.repos} repositories: {record.git_objects} git objects and {record.large_files} large files"
        f" ({record.large_bytes} bytes)."
    ]
    if record.unreferenced:
        lines.append(f"No commit needs {record.unreferenced} of the large files.")
    if record.leftovers:
        lines.append(
            f"The next start removes or mends {len(record.leftovers)} unfinished files: {', '.join(record.leftovers)}"
        )
    for damage in record.damage:
        lines += ["", f"{damage.problem.upper()} {damage.kind} {damage.name}: {damage.detail}", *_places(damage)]
    if not record.damage:
        lines.append("Nothing is damaged and nothing is missing.")
    return lines


def _places(damage: "DamageRecord") -> list[str]:
    if not damage.places:
        return ["  in no commit that a branch or a tag leads to"]
    lines = [f"  in {_place(place)}" for place in damage.places[:_MOST_PLACES]]
    more = len(damage.places) - _MOST_PLACES
    return [*lines, f"  and in {more} more places (--json lists all)"] if more > 0 else lines


def _place(place: "PlaceRecord") -> str:
    parts = [place.repo]
    if place.commit is not None:
        parts.append(f"commit {place.commit}")
    if place.path is not None:
        parts.append(f"file {place.path}" if place.path else "its root folder")
    return ", ".join(parts)
