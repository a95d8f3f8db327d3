"""The world that an end-to-end test lives in: a Hub's folder, a cache, a working folder, and commands run there."""

import contextlib
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import HfApi

from hubtune.errors import HubtuneError
from hubtune.localhub import EmbeddedHub, HubOptions
from tests.end_to_end.preloaded import matplotlib_folder, preloaded

HUBTUNE = str(Path(sys.executable).with_name("hubtune"))
TARGET = "lab/quotes-lora"
CONFIG = {
    "base": {"repo": "lab/gpt2"},
    "data": [{"repo": "lab/quotes", "template": "Quote by {author}: {quote}"}],
    "train": {"epochs": 4, "learning_rate": 1.0e-2, "batch_size": 8, "max_length": 64, "lora": {"r": 4}},
    "evaluate": {"holdout": 0.25, "metrics": ["perplexity"]},
    "card": {"intended_use": "Tests of the whole job."},
    "publish": {"repo": TARGET, "tag": "v1.0.0"},
}
CHAT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
BASE_CARD = "---\nlicense: apache-2.0\nlanguage: en\n---\n\n# A tiny random model\n"
DATA_CARD = "---\nlicense: cc0-1.0\nlanguage: en\n---\n\n# Quotes for tests\n"
TRADES = ["baker", "tailor", "gardener", "ferryman", "printer", "shepherd", "carpenter", "weaver"]
# A POST with one of these in its path reads.
_READING_POSTS = ("/paths-info/", "/api/validate-yaml")


def untimed(evaluation: dict) -> dict:
    """Returns an evaluation record without times: those of measures, and the digest of a record that has some."""
    upstream = {**evaluation["upstream"], "training.json": None}
    measures = [{**measure, "seconds": None} for measure in evaluation["measures"]]
    return {**evaluation, "upstream": upstream, "measures": measures}


@dataclass(frozen=True)
class Result:
    """What a finished command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict:
        """The one JSON document on stdout; anything beside it makes this fail."""
        return json.loads(self.out)

    def refused(self, error: type[HubtuneError], *words: str) -> None:
        """Asserts one clear message for a person: the error's exit code, what to do next, and each of the words."""
        assert self.code == error.exit_code, self
        lines = self.err.splitlines()
        assert sum(line.startswith("Error: ") for line in lines) == 1, self.err
        assert sum(line.startswith("What to do: ") for line in lines) == 1, self.err
        assert "Traceback" not in self.out + self.err
        for word in words:
            assert word in self.err, f"{word!r} is missing in: {self.err}"


@dataclass(frozen=True)
class World:
    """A Hub's folder, a user's cache and a working folder, and the commands that are run there."""

    root: Path

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def run_dir(self) -> Path:
        return self.work / "run"

    def env(self, **more: str | None) -> dict[str, str]:
        """A clean environment: nothing of the user's but the path; `None` takes a variable out."""
        env: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            # So that the commands are those of the tree whose tests run, wherever hubtune is installed from.
            "PYTHONPATH": os.environ.get("PYTHONPATH"),
            "HOME": str(self.root),
            "HF_HOME": str(self.root / "home"),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "MPLCONFIGDIR": matplotlib_folder(),
            # No command of a test speaks TLS, and reading the system's certificates takes longer than some of them.
            "SSL_CERT_DIR": os.devnull,
            "COLUMNS": "100",
            "LC_ALL": "C.UTF-8",
            # Tiny models gain nothing from threads, which wait for each other where tests share the cores.
            "OMP_NUM_THREADS": "1",
        }
        return {name: value for name, value in {**env, **more}.items() if value is not None}

    def hubtune(self, *args: str | Path, **env: str | None) -> Result:
        """Runs the command in the working folder, in a process of its own that has its slow imports done."""
        done = preloaded().run([HUBTUNE, *map(str, args)], self.work, self.env(**env))
        return Result(done.returncode, done.stdout, done.stderr)

    def installed(self, *args: str | Path, **env: str | None) -> Result:
        """Runs the installed command, with all of its own imports."""
        return self.execute([HUBTUNE, *map(str, args)], **env)

    def done(self, *args: str | Path, **env: str | None) -> Result:
        """Runs the command as `hubtune` does; it has to succeed."""
        result = self.hubtune(*args, **env)
        assert result.code == 0, result.err
        return result

    def python(self, code: str, *args: str, **env: str | None) -> Result:
        """Runs a Python program in a process of its own, with a cache that has nothing, as `hubtune` runs commands."""
        env = {"HF_HOME": str(self.root / "consumer"), **env}
        done = preloaded().run(["-c", *args], self.work, self.env(**env), code)
        return Result(done.returncode, done.stdout, done.stderr)

    def execute(self, command: list[str], **env: str | None) -> Result:
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.env(**env),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(
        self, *args: str | Path, by: Sequence[str] = (), in_session_of_its_own: bool = False, **env: str | None
    ) -> subprocess.Popen[str]:
        """Starts the installed command and leaves it running, with pipes.

        Args:
            args: Its arguments.
            by: A command that starts it, such as nohup.
            in_session_of_its_own: So that the processes which it starts can be told from others.
            env: Of its environment.
        """
        return subprocess.Popen(
            [*by, HUBTUNE, *map(str, args)],
            start_new_session=in_session_of_its_own,
            cwd=self.work,
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_a_terminal(self, *args: str | Path, **env: str | None) -> Result:
        """Runs the command with stderr on a pseudo terminal and stdout on a file."""
        terminal, end = pty.openpty()
        with open(terminal, "rb", closefd=True) as screen, ThreadPoolExecutor(1) as reading:
            shown = reading.submit(_all_of, screen.fileno())
            try:
                environment = self.env(**{"TERM": "xterm-256color", **env})
                done = preloaded().run([HUBTUNE, *map(str, args)], self.work, environment, terminal=end)
            finally:
                os.close(end)
            return Result(done.returncode, done.stdout, shown.result().decode())

    @contextmanager
    def served(self, auth: Path | None = None) -> Iterator[HfApi]:
        """Serves the Hub's folder meanwhile; gives the unchanged client for it."""
        with EmbeddedHub(self.hub, HubOptions(auth=auth)) as hub:
            yield HfApi(endpoint=hub.url, token=None if auth else "any")

    def config(self, **changes: object) -> Path:
        """Writes hubtune.yaml: the usual config with some sections' keys changed, as in `train__epochs=1`."""
        config = json.loads(json.dumps(CONFIG))
        for name, value in changes.items():
            section, _, key = name.partition("__")
            place = config[section][0] if section == "data" else config[section]
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        path = self.work / "hubtune.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def extend_data(self, api: HfApi) -> str:
        """Moves the main branch of lab/quotes on by one commit, which adds rows, and returns it."""
        rows = quote_rows(90)
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        made = api.upload_file(
            path_or_fileobj=content, path_in_repo="train.jsonl", repo_id="lab/quotes", repo_type="dataset"
        )
        return str(made.oid)

    def record(self, name: str, run: str = "run") -> dict:
        """A record of a run, such as `pins.json`."""
        return json.loads((self.work / run / name).read_text())

    def requests(self) -> list[dict]:
        """The Hub's request log."""
        path = self.hub / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def writes(self) -> list[dict]:
        """The requests of the log that asked to change something, whatever the answer was."""
        return [
            line
            for line in self.requests()
            if line["method"] not in ("GET", "HEAD") and not any(part in line["path"] for part in _READING_POSTS)
        ]

    def forget_requests(self) -> None:
        """Empties the request log; only while the Hub is not served."""
        (self.hub / "requests.jsonl").unlink(missing_ok=True)

    def stored(self) -> dict[str, str]:
        """The digest of every file of the Hub's folder but its log and its lock: all that a write could change."""
        return digests(self.hub, leave_out=("requests.jsonl", "lock"))

    def copy(self, to: Path) -> "World":
        """A copy of all of it."""
        shutil.copytree(self.root, to, symlinks=True, dirs_exist_ok=True)
        return World(to)


def _all_of(terminal: int) -> bytes:
    shown = b""
    # Linux tells by an error that the other end is closed.
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            shown += piece
    return shown


def digests(folder: Path, leave_out: tuple[str, ...] = ()) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in leave_out
    }


def quote_rows(count: int = 80) -> list[dict[str, str]]:
    """Rows of a dataset, all of them distinct."""
    return [
        {
            "author": f"the {TRADES[number % len(TRADES)]}",
            "quote": f"Work number {number} is done when the {TRADES[number // 8 % len(TRADES)]} says so.",
        }
        for number in range(count)
    ]


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Writes rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
