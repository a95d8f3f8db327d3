"""What a library raises while a named input is loaded is an error that names the input and keeps the reason."""

import contextlib
import json
import random
import shutil

import pytest

from hubtune.errors import ConfigError, DataError, DiskFullError, HubtuneError, MemoryNeededError, ModelError
from hubtune.files import loading
from hubtune.models.architecture import read_structure
from hubtune.models.checkpoint import read_header
from hubtune.models.gguf import main_quantisation
from hubtune.models.pretrained import context_length, load_base, load_tokenizer


class PanicException(BaseException):
    pass


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (ValueError("Unknown type of thing.\nAnd more"), "Unknown type of thing."),
        (KeyError("model_type"), "KeyError: 'model_type'."),
        (AssertionError(), "AssertionError."),
        (RecursionError("maximum recursion depth exceeded"), "maximum recursion depth exceeded."),
        (PanicException("called `unwrap()` on a `None` value"), "called `unwrap()` on a `None` value."),
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error."),
        (RuntimeError("a\x1b[31mb " * 999), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_raised_names_the_input_and_keeps_the_reason(cause, reason):
    with pytest.raises(DataError) as caught, loading("org/rows cannot be read", DataError, hint="Mend it."):
        raise cause
    if reason is not None:
        assert caught.value.message == f"org/rows cannot be read: {reason}"
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()
    assert str(caught.value.hint).startswith("Mend it. ")
    assert "--traceback" in str(caught.value.hint)
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (MemoryError(), MemoryNeededError),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryNeededError),
        (OSError(28, "No space left on device"), DiskFullError),
        (ConfigError("Another word for it."), ConfigError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_is_no_fault_of_the_input_stays_what_it_is(cause, kind):
    with pytest.raises(kind), loading("org/rows cannot be read", DataError):
        raise cause


GGUF = b"GGUF\x03\0\0\0"
LOADERS = {
    "tokenizer": lambda folder: load_tokenizer(folder, "org/base"),
    "context": lambda folder: context_length(folder, "org/base"),
    "base": lambda folder: load_base(folder, "org/base", "fp32"),
    "structure": read_structure,
    "header": lambda folder: read_header(folder / "model.safetensors"),
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Changes a value of a JSON text, or cuts, swaps and overwrites bytes."""
    kind = chance.randrange(4)
    place = chance.randrange(len(content))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + chance.randbytes(chance.randrange(1, 9)) + content[place:]
    try:
        value = json.loads(content)
    except ValueError:
        return content[:place] + chance.randbytes(4) + content[place + 4 :]
    key = chance.choice(sorted(value))
    value[key] = chance.choice([None, -1, "word", [], {}, {"a": [1]}, True, 1e308, [None], "../x", 0])
    return json.dumps(value).encode()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_base_with_a_damaged_file_loads_or_is_an_error_of_hubtune(gpt2, tmp_path, trials, name):
    folder, chance = tmp_path / "base", random.Random(name)
    shutil.copytree(gpt2, folder)
    content = (gpt2 / name).read_bytes()
    for _ in range(trials(12, 2000)):
        (folder / name).write_bytes(damaged(content, chance))
        for load in LOADERS.values():
            with contextlib.suppress(HubtuneError):
                load(folder)


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 64, b"GGUF\x03\0\0\0" + b"\x01\0" * 40]
)
def test_a_damaged_gguf_file_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.gguf is not a whole GGUF file"):
        main_quantisation(path)
