"""A process that has imported what takes long, and turns copies of itself into commands; see `preloaded`.

Nothing of the Hugging Face family may be among the imports: it reads the environment when it is imported, and each
command brings its own.
"""

import array
import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

# What the whole job imports and what costs the most, by far: with these, a command starts in a fifth of the time.
LIBRARIES = [
    "dulwich.porcelain",
    "hubtune.cli.app",
    "hubtune.cli.main",
    "hubtune.pipeline.embedded_hub",
    "httpx2",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "matplotlib.font_manager",
    "networkx",
    "numpy",
    "pandas",
    "phonenumbers",
    "pyarrow.parquet",
    "rich.progress",
    "rouge_score.rouge_scorer",
    "sacrebleu",
    "safetensors.torch",
    "scipy.sparse",
    "scipy.stats",
    "sklearn.metrics",
    "sympy",
    "tokenizers",
    "torch",
    "torch._dynamo",
    "torch._inductor.compile_fx",
    "torch.distributed.checkpoint",
    "torch.distributed.elastic.agent.server.api",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch.nn.attention.flex_attention",
    "torch.utils.data",
]
READ_THE_ENVIRONMENT = ("huggingface_hub", "transformers", "peft", "datasets", "accelerate")
# stdin, stdout, stderr and where to tell the process id and the status.
_FILES = 4


def preload() -> None:
    """Imports the libraries of which a command's environment changes nothing."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            # A library that is not installed here is not missed before a command needs it.
            continue
    early = [name for name in READ_THE_ENVIRONMENT if name in sys.modules]
    if early or len([*Path("/proc/self/task").iterdir()]) > 1:
        raise RuntimeError(f"A copy of this process would not be a fresh one: {early or 'it has threads'}.")
    # Else each copy writes to, and so copies, the pages of every object.
    gc.collect()
    gc.freeze()


def receive(connection: socket.socket) -> tuple[dict, list[int]] | None:
    """One request and its open files, or None when the other side is gone."""
    head, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_LEN(_FILES * array.array("i").itemsize))
    if not head:
        return None
    files = array.array("i")
    for _, _, data in ancillary:
        files.frombytes(data)
    content = b""
    while len(content) < int.from_bytes(head, "little"):
        content += connection.recv(65536)
    return json.loads(content), list(files)


def become(request: dict, files: list[int]) -> None:
    """Gives this process the request's environment, folder, files and arguments."""
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv[:] = request["argv"]
    sys.path[0] = request["path"]


def wait(child: int, told: int) -> None:
    """Tells the process id of a copy, and how it ended."""
    os.write(told, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def serve(connection: socket.socket) -> dict:
    """Answers requests; returns in each copy, with what it is to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while received := receive(connection):
        request, files = received
        if os.fork():
            for file in files:
                os.close(file)
            continue
        connection.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if child := os.fork():
            wait(child, files[3])
        become(request, files)
        return request
    sys.exit(0)


def run(request: dict) -> int:
    """Runs the command or the program, and gives its exit code, as the interpreter would."""
    try:
        if request["code"] is None:
            from hubtune.cli.main import main

            main()
        else:
            exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """Ends a copy; the interpreter's own end would take apart, and so copy, all that was imported."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    preload()
    leave(run(serve(socket.socket(fileno=int(sys.argv[1])))))
