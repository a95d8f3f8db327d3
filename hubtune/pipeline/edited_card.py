"""A card that its owner edited by hand in the run: it is neither published over nor lost."""

import os
from itertools import count
from pathlib import PurePosixPath

from hubtune.card.sections.evaluation import EVALUATION_PICTURE
from hubtune.card.sections.training import LOSS_PICTURE
from hubtune.errors import EditedCardError
from hubtune.files import file_errors, read_bytes
from hubtune.records.base import write_atomic
from hubtune.records.release import CARD
from hubtune.records.rundir import RunDirectory


def edited_card_files(run: RunDirectory) -> list[str]:
    """Returns the paths of the run's card and pictures that do not hold what hubtune wrote there.

    Raises:
        FileError: One cannot be read.
    """
    found = []
    for name in (CARD, LOSS_PICTURE, EVALUATION_PICTURE):
        path = run.path / name
        if os.path.lexists(path):
            with file_errors(path, "read"):
                if not run.is_as_written(name):
                    found.append(name)
    return found


def refuse_edited_card(run: RunDirectory) -> None:
    """Checks that nothing that somebody wrote into the card by hand would be left out of a release.

    Raises:
        EditedCardError: The card or one of its pictures was edited.
    """
    edited = edited_card_files(run)
    if edited:
        raise EditedCardError(
            f"{' and '.join(edited)} in {run.path} {'was' if len(edited) == 1 else 'were'} edited by hand. hubtune "
            "renders the card again from the records and the config, so what you wrote would be lost.",
            details=[
                f"To keep your words, state them in your config, and in {run.config_file} (card.intended_use, "
                "misuse, consent, safeguards, ethics, bias), or write section templates of your own (card.templates).",
                "To go back to the rendered card: the command below. It keeps your version beside it.",
            ],
            hint=f"hubtune card render {run.path}",
        )


def keep_edited(run: RunDirectory, name: str) -> str:
    """Copies a file of the run to a name that is free, and returns that name.

    Raises:
        FileError: It cannot be read or written.
    """
    path = PurePosixPath(name)
    for number in count(1):
        kept = str(path.with_name(f"{path.stem}.edited{'' if number == 1 else f'-{number}'}{path.suffix}"))
        if not os.path.lexists(run.path / kept):
            write_atomic(run.path / kept, read_bytes(run.path / name))
            return kept
    raise AssertionError("the loop ends at a free name")
