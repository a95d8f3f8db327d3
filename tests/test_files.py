"""What the operating system refuses is an error with the path, the reason and what to do, whatever library heard it."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hubtune.errors import DiskFullError, FileError
from hubtune.files import file_errors, scratch_folder


def _safetensors(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(10)}, path)


def _torch(path: Path) -> None:
    import torch

    torch.save({"a": torch.zeros(10)}, path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x"),
    "safetensors": _safetensors,
    "torch": _torch,
}
PLACES = {"nowhere/x": "does not exist", "folder": "is a folder", "file/x": "does not exist|a file, not a folder"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_place_that_cannot_be_written_is_named_whatever_writes_there(tmp_path: Path, writer: str, place: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    path = tmp_path / place

    with pytest.raises(FileError, match=PLACES[place]) as caught, file_errors(path):
        WRITERS[writer](path)

    assert str(path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("writer", ["text", "torch"])
def test_a_disk_without_room_is_told_as_that(writer: str):
    with pytest.raises(DiskFullError, match="the run is full"), file_errors("the run"):
        WRITERS[writer](Path("/dev/full"))


@pytest.mark.parametrize("error", [RuntimeError("no"), ValueError("(os error 28)"), KeyError("x")])
def test_other_errors_pass_as_they_are(error: Exception, tmp_path: Path):
    for context in (file_errors(tmp_path), scratch_folder()):
        with pytest.raises(type(error)) as caught, context:
            raise error
        assert caught.value is error


def test_a_machine_without_a_place_for_temporary_files_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file/tmp"))

    with pytest.raises(FileError, match=str(tmp_path / "file")) as caught, scratch_folder():
        pass

    assert "TMPDIR" in str(caught.value.hint)


def test_a_temporary_folder_that_is_taken_away_or_has_no_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def write_into_one_that_is_gone() -> None:
        with scratch_folder() as folder:
            folder.rmdir()
            (folder / "x").write_text("x")

    with pytest.raises(FileError, match=f"Cannot write {tmp_path}") as caught:
        write_into_one_that_is_gone()
    assert "TMPDIR" in str(caught.value.hint)

    with pytest.raises(DiskFullError, match=f"disk that holds {tmp_path}"), scratch_folder():
        Path("/dev/full").write_text("x")
    with pytest.raises(FileNotFoundError), scratch_folder():
        json.loads((tmp_path / "elsewhere").read_text())
    assert not [*tmp_path.iterdir()]
