"""Runs the command line as a process: its streams, its signals, and the one place where errors become exit codes.

The commands are imported after signals are handled, so that Ctrl-C during the import ends the command as at any other
time.
"""

import sys
from typing import TYPE_CHECKING, NoReturn

from hubtune import signals

if TYPE_CHECKING:
    from hubtune.errors import HubtuneError

_BUG = 1


def main() -> NoReturn:
    """Runs the command that the arguments call; `hf hubtune` runs the same."""
    signals.install()
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt as stop:
        code = _stopped(stop)
    signals.end_at_once(code)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from hubtune.cli import output
    from hubtune.errors import HubtuneError

    output.prepare()
    try:
        code = _call(arguments)
        sys.stdout.flush()
    except output.ReaderGoneError as error:
        output.abandon_stdout()
        return error.exit_code
    except HubtuneError as error:
        _raise_stop()
        return _fail(error, arguments)
    except BaseException as error:
        if not isinstance(error, Exception) and not _is_panic(error):
            raise
        _raise_stop()
        expected = _expected(error)
        return _bug(error) if expected is None else _fail(expected, arguments)
    return code


def _call(arguments: list[str]) -> int:
    import click

    from hubtune.cli.app import app
    from hubtune.cli.output import Output
    from hubtune.errors import ConfigError

    _quieten_libraries()
    garbled = next((word for word in arguments if not word.isascii() and not _is_text(word)), None)
    if garbled is not None:
        shown = garbled.encode(errors="backslashreplace").decode()
        raise ConfigError(
            f"The argument {shown} is not text in UTF-8.", hint="Rename the file, or convert the text to UTF-8."
        )
    try:
        code = app(arguments, prog_name="hubtune", standalone_mode=False)
    except click.ClickException as error:
        if _given("--json", arguments):
            called = getattr(getattr(error, "ctx", None), "command_path", "hubtune")
            hint = f"See how it is used: {called} --help"
            Output(as_json=True, quiet=False).error(ConfigError(error.format_message(), hint=hint))
        else:
            error.show()
        return error.exit_code
    except click.Abort:
        # As click calls every KeyboardInterrupt.
        _raise_stop()
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _given(option: str, arguments: list[str]) -> bool:
    """Whether a global option was given, which comes before the command."""
    for word in arguments:
        if not word.startswith("-"):
            return False
        if word == option:
            return True
    return False


def _raise_stop() -> None:
    """Raises the stop that this process received: libraries turn it into errors of theirs, as when imports break off.

    The error of a training says more, and has the exit code of a stop itself.
    """
    number = signals.received()
    if number is not None:
        raise signals.Stopped(number)


def _fail(error: "HubtuneError", arguments: list[str]) -> int:
    from hubtune.cli import output
    from hubtune.cli.output import Output
    from hubtune.errors import OutputError

    try:
        Output(as_json=_given("--json", arguments), quiet=False).error(error)
    except OutputError as unprinted:
        output.abandon_stdout()
        Output(as_json=False, quiet=False).error(error)
        if not isinstance(error, OutputError) and not isinstance(unprinted, output.ReaderGoneError):
            Output(as_json=False, quiet=False).error(unprinted)
    if isinstance(error, OutputError):
        output.abandon_stdout()
    if _given("--traceback", arguments):
        _show_traceback(error)
    return error.exit_code


def _is_panic(error: BaseException) -> bool:
    """Whether a library in Rust ended at a fault of its own, such as a tokenizer's expression that takes forever."""
    return type(error).__name__ == "PanicException"


def _expected(error: BaseException) -> "HubtuneError | None":
    """Returns what to say of an error that no part of hubtune has a word for, if it is none of hubtune's own faults."""
    from pathlib import Path

    from hubtune.errors import MemoryNeededError, ModelError
    from hubtune.files import explain, reason

    if _is_panic(error):
        return ModelError(
            f"A library that reads texts or models ended at what it was given: {reason(error)}.",
            hint="If that is the search of an expression, the base's tokenizer is at fault: choose another base.",
        )
    if isinstance(error, MemoryError):
        return MemoryNeededError(
            "The memory of this machine is used up.", hint="End other programs, or use a smaller model or less data."
        )
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        # What pathlib makes of a circle of links.
        error = error.__context__
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.filename, str | bytes):
        name = error.filename if isinstance(error.filename, str) else error.filename.decode(errors="replace")
        return explain(error, Path(name))
    return None


def _bug(error: BaseException) -> int:
    from hubtune.cli.output import tell
    from hubtune.models.remote_code import any_permitted

    if any_permitted():
        tell(
            "This is a bug in the base model's own code, which was allowed to run, or in hubtune. If the last "
            "lines below are of a file in transformers_modules, it is the base's, whose code may be made for "
            "another version of transformers: choose another base, or tell its author. Else report them to hubtune."
        )
    else:
        tell("This is a bug in hubtune. Please report it together with the lines below.")
    _show_traceback(error)
    return _BUG


def _show_traceback(error: BaseException) -> None:
    import traceback

    from hubtune.cli.output import tell

    text = "".join(traceback.format_exception(error)).rstrip()
    if (translate := sys.modules.get("hubtune.hub.translate")) is not None:
        text = translate.mask(text)
    tell(text)


def _stopped(stop: KeyboardInterrupt) -> int:
    import signal

    from hubtune.cli.output import tell

    number = stop.number if isinstance(stop, signals.Stopped) else signal.SIGINT
    tell("Stopped." if number == signal.SIGINT else f"Stopped by {signal.Signals(number).name}.")
    # Not imported again: the stop may have come while this was going on.
    app = sys.modules.get("hubtune.cli.app")
    if app is not None and hasattr(app, "has_option") and app.has_option(app.command_of(sys.argv[1:]), "--resume"):
        tell("Finished stages are kept: the same command with --resume continues.")
    return signals.exit_code(number)


def _quieten_libraries() -> None:
    import logging
    import os
    import warnings

    # hubtune draws its own progress and says itself what went wrong; each of these can still be set by the user.
    for name, value in {
        "DATASETS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }.items():
        os.environ.setdefault(name, value)
    # With this package, transformers and bitsandbytes fetch and run code of other repositories, of themselves or as
    # a base's config.json names it; without it they compute by what they bring.
    sys.modules["kernels"] = None  # type: ignore[assignment]  # how Python is told that a module is not there
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
