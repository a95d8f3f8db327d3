"""Reads the configs of releases: anybody may have written one, so none may name a place on this machine.

Of a file that a release was made from, its config holds the bare name, to be read by people. Nothing of that name is
opened here: it would be a file of whoever reads the release, not of whoever published it.
"""

from collections.abc import Iterator, Mapping, Sequence

from hubtune.config.load import read_dumped
from hubtune.config.schema import TuneConfig
from hubtune.errors import ReleaseError


def read_published(text: str, source: str) -> TuneConfig:
    """Reads the config of a release; no file that it names is opened.

    Args:
        text: What the release holds.
        source: What to call it, such as "records/config.yaml of org/model".

    Raises:
        ConfigError: It is not a config that `dump_config` wrote.
        ReleaseError: It names a place on a disk, in a key where a release has the name of a file alone.
    """
    config = read_dumped(text, source)
    for key, named in local_files(config).items():
        if not _is_bare(named):
            raise ReleaseError(
                f"{source} names a place on a disk: {key} is {named[:200]!r}. No such place is opened.",
                hint="A release of hubtune holds the bare names of files, so this was changed by hand: do not rely "
                "on it.",
            )
    return config


def local_files(config: TuneConfig) -> Mapping[str, str]:
    """Returns every local file or folder that a config names, by its key path."""
    return dict(_local_files(config))


def require_none_of_release(
    config: TuneConfig, source: str, *, given: Sequence[str] = (), own_data: bool = True
) -> None:
    """Refuses to go on where a file would be opened because a release names it.

    Args:
        config: The release's config, as `read_published` returned it.
        source: What to call the release.
        given: `key=value` texts of whoever uses the release: what they set is theirs.
        own_data: Whether the release's own data is used.

    Raises:
        ReleaseError: A file is named; the message has the key and the hint what to do.
    """
    keys = [text.partition("=")[0].strip() for text in given]
    for key, named in local_files(config).items():
        used = key != "card.templates" and (own_data or not key.startswith(("data", "earlier")))
        if not used or any(key == own or key.startswith((f"{own}.", f"{own}[")) for own in keys):
            continue
        of_data = key.endswith(".path")
        raise ReleaseError(
            f"{source} names a local file, {key}: {named!r}, and no file of this machine is opened because a release "
            "names it.",
            hint=f"Give one of your own: {'--data FILE, or ' if of_data else ''}-s {key}=FILE",
        )


def _local_files(config: TuneConfig) -> Iterator[tuple[str, str]]:
    for section, entries in (("data", config.data), ("earlier.data", config.earlier_data)):
        for number, entry in enumerate(entries):
            if entry.path is not None:
                yield f"{section}[{number}].path", entry.path
    if config.card.templates is not None:
        yield "card.templates", config.card.templates
    for key, path in config.evaluate.bias.named().items():
        yield f"evaluate.bias.{key}", path


def _is_bare(name: str) -> bool:
    # Signs that hubtune itself can leave in the name of a file are not a fault.
    return name not in (".", "..") and not any(sign in name for sign in "/\\\0\n")
