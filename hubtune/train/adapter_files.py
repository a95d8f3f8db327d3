"""Saves a trained adapter so that the run directory holds all of it or none of it."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hubtune.files import file_errors
from hubtune.records.base import sha256_file

if TYPE_CHECKING:
    from peft import PeftModel

_FILES = ("adapter_config.json", "adapter_model.safetensors")
_NOTHING: Mapping[str, str] = MappingProxyType({})


def save_adapter(model: "PeftModel", target: Path, beside: Mapping[str, str] = _NOTHING) -> dict[str, str]:
    """Saves the adapter beside `target`, then renames it into place.

    Args:
        model: The base with its adapter.
        target: The folder to make; what it held is replaced.
        beside: Text files that belong to the adapter: name to content.

    Returns:
        The name of each file and its sha256.

    Raises:
        DiskFullError: There is no room; what was at `target` is unchanged.
    """
    with file_errors(target.parent):
        unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=".adapter-"))
        try:
            _write(model, unfinished, beside)
            if target.exists():
                shutil.rmtree(target)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return {name: sha256_file(target / name) for name in (*_FILES, *beside)}


def _write(model: "PeftModel", folder: Path, beside: Mapping[str, str]) -> None:
    # Else peft asks the Hub for the base's config, at main, to see whether embeddings were resized.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    _sort_layers(folder / _FILES[0])
    for path in list(folder.iterdir()):
        if path.name not in _FILES:
            path.unlink()
    for name, content in beside.items():
        (folder / name).write_text(content, encoding="utf-8")
    for name in (*_FILES, *beside):
        (folder / name).chmod(0o644)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    folder.chmod(0o755)


def _sort_layers(config: Path) -> None:
    # peft keeps the names in a set, whose order differs from process to process: the same run would give other bytes.
    values = json.loads(config.read_text(encoding="utf-8"))
    values["target_modules"] = sorted(values["target_modules"])
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
