"""A stand-in for Hugging Face Jobs in front of an embedded Hub: the API by which jobs are run, as the client parses it.

It really runs each job: a process with the environment and the secrets that the API was given, and with nothing of the
submitting user's, whose output is the job's log. There is no uv and no container here: of `uv run --with ... COMMAND`
the command is run by this interpreter's installation, and `--with` is kept for tests to look at.
"""

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hubtune.localhub.accounts import Accounts
from hubtune.localhub.api.admission import Guard
from hubtune.localhub.api.call import HubState
from hubtune.localhub.api.connection import Patience
from hubtune.localhub.api.hub_app import HubApp
from hubtune.localhub.fault_injection import Faults
from hubtune.localhub.hub_folder import take_folder
from hubtune.localhub.server import served
from tests.end_to_end.worlds import HUBTUNE, World

T = TypeVar("T")

FLAVORS = {"cpu-basic": "CPU Basic", "a10g-small": "Nvidia A10G - small"}
_ENDED = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
_STARTED = "===== Job started at 2026-11-29 12:00:00 ====="


@dataclass
class RunJob:
    """A job: what was asked, its process and its log.

    Attributes:
        packages: What uv would install.
        followed: How often a client asked for its log.
    """

    id: str
    owner: str
    spec: dict
    packages: list[str] = field(default_factory=list)
    stage: str = "RUNNING"
    message: str | None = None
    lines: list[str] = field(default_factory=lambda: [_STARTED])
    process: subprocess.Popen | None = None
    followed: int = 0

    def shown(self) -> dict:
        """What the API tells of it: of secrets the names alone."""
        return {
            "id": self.id,
            "createdAt": f"2026-11-29T12:00:{int(self.id[-2:], 16) % 60:02}.000Z",
            "dockerImage": self.spec["dockerImage"],
            "command": self.spec["command"],
            "arguments": self.spec["arguments"],
            "environment": self.spec["environment"],
            "secrets": dict.fromkeys(self.spec.get("secrets", {})),
            "flavor": self.spec["flavor"],
            "labels": self.spec.get("labels", {}),
            "status": {"stage": self.stage, "message": self.message},
            "owner": {"id": "5" * 24, "name": self.owner, "type": "user"},
        }


@dataclass
class Jobs:
    """The jobs of a stand-in, and what is to go wrong with the next requests.

    Attributes:
        url: Of the Hub.
        requests: Method and address of each request about jobs.
        refuse: Status and message to answer a submission with.
        lose_answers: For each of the next submissions, which are done and answered with 502: how long to wait.
        unavailable: How many questions for a job's stage are answered with 503.
        cut_logs: After how many lines each of the next streams of a log breaks off.
        run_jobs: Whether jobs run; else they stay in their stage until a test ends them.
    """

    world: World
    url: str = ""
    accounts: Accounts = field(default_factory=lambda: Accounts.load(None))
    all: dict[str, RunJob] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refuse: tuple[int, str] | None = None
    lose_answers: list[int] = field(default_factory=list)
    unavailable: int = 0
    cut_logs: list[int] = field(default_factory=list)
    run_jobs: bool = True
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def last(self) -> RunJob:
        """The job that was submitted last."""
        return [*self.all.values()][-1]

    def submitted(self, count: int) -> RunJob:
        """Waits until so many jobs were submitted, and returns the last."""
        return self._wait(lambda: len(self.all) >= count and self.last)

    def until_followed(self, job: RunJob, times: int) -> None:
        """Waits until clients have asked for the log of a job so many times."""
        self._wait(lambda: job.followed >= times)

    def until_said(self, job: RunJob, start: str) -> None:
        """Waits until a line of a job's log starts like this."""
        self._wait(lambda: any(line.startswith(start) for line in job.lines))

    def _wait(self, what: Callable[[], T]) -> T:
        with self.changed:
            found = self.changed.wait_for(what, timeout=60)
            assert found, "what a test waits for did not happen"
            return found

    def say(self, job: RunJob, *lines: str) -> None:
        """Adds lines to a job's log."""
        with self.changed:
            job.lines += lines
            self.changed.notify_all()

    def end(self, job: RunJob, stage: str, message: str | None = None) -> None:
        """Ends a job; its process is stopped as a container is."""
        with self.changed:
            if job.stage not in _ENDED:
                job.stage, job.message = stage, message
            self.changed.notify_all()
        if job.process is not None and job.process.poll() is None:
            job.process.send_signal(signal.SIGTERM)

    def submit(self, owner: str, spec: dict) -> RunJob:
        job = RunJob(f"{len(self.all) + 1:024x}", owner, spec)
        with self.changed:
            self.all[job.id] = job
            self.changed.notify_all()
        command = [*spec["command"], *spec["arguments"]]
        assert command[:2] == ["uv", "run"], command
        rest = command[2:]
        while rest[0] == "--with":
            job.packages.append(rest[1])
            rest = rest[2:]
        assert rest[0] == "hubtune", command
        if self.run_jobs:
            home = self.world.root / f"job-{job.id}"
            home.mkdir()
            own = {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": None, "HF_HUB_DISABLE_XET": None}
            asked = {**spec["environment"], **spec.get("secrets", {}), "JOB_ID": job.id, "ACCELERATOR": "none"}
            env = self.world.env(**{**own, **asked})
            job.process = subprocess.Popen(
                [HUBTUNE, *rest[1:]],
                cwd=home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            threading.Thread(target=self._watch, args=(job, job.process), daemon=True).start()
        return job

    def _watch(self, job: RunJob, process: subprocess.Popen) -> None:
        for line in process.stdout:
            with self.changed:
                job.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        code = process.wait()
        with self.changed:
            if job.stage not in _ENDED:
                job.stage = "ERROR" if code else "COMPLETED"
                job.message = f"Job failed with exit code: {code}." if code else None
            self.changed.notify_all()

    def finish(self) -> None:
        """Ends what still runs."""
        for job in self.all.values():
            if job.process is not None and job.process.poll() is None:
                job.process.kill()
            if job.process is not None:
                job.process.wait()


class _Api:
    """The routes of jobs; what is not of jobs goes to the Hub."""

    def __init__(self, jobs: Jobs, hub: HubApp) -> None:
        self._jobs, self._hub = jobs, hub
        self._routes = Starlette(
            routes=[
                Route("/api/jobs/hardware", self._hardware),
                Route("/api/jobs/{owner}", self._list, methods=["GET"]),
                Route("/api/jobs/{owner}", self._submit, methods=["POST"]),
                Route("/api/jobs/{owner}/{id}", self._inspect),
                Route("/api/jobs/{owner}/{id}/logs", self._logs),
                Route("/api/jobs/{owner}/{id}/cancel", self._cancel, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/jobs"):
            query = scope["query_string"].decode()
            self._jobs.requests.append(f"{scope['method']} {scope['path']}{f'?{query}' if query else ''}")
            await self._routes(scope, receive, send)
        else:
            await self._hub(scope, receive, send)

    async def _hardware(self, _: Request) -> Response:
        return JSONResponse(
            [
                {
                    "name": name,
                    "prettyName": title,
                    "cpu": "2 vCPU",
                    "ram": "16 GB",
                    "accelerator": None,
                    "unitCostMicroUSD": 167,
                    "unitCostUSD": 0.000167,
                    "unitLabel": "minute",
                }
                for name, title in FLAVORS.items()
            ]
        )

    async def _list(self, request: Request) -> Response:
        wanted = dict(label.split("=", 1) for label in request.query_params.getlist("label"))
        own = [job for job in self._jobs.all.values() if job.owner == request.path_params["owner"]]
        found = [job.shown() for job in own if wanted.items() <= job.spec.get("labels", {}).items()]
        return JSONResponse(found)

    async def _submit(self, request: Request) -> Response:
        user = self._jobs.accounts.sign_in(request.headers.get("authorization"))
        if user is None:
            return _error(401, "Invalid username or password.")
        if self._jobs.refuse is not None:
            return _error(*self._jobs.refuse)
        spec = await request.json()
        if spec["flavor"] not in FLAVORS:
            return _error(400, f"Invalid flavor {spec['flavor']}")
        job = self._jobs.submit(request.path_params["owner"], spec)
        if self._jobs.lose_answers:
            return _error(502, "Bad Gateway", {"Retry-After": str(self._jobs.lose_answers.pop(0))})
        return JSONResponse(job.shown())

    async def _inspect(self, request: Request) -> Response:
        job = self._jobs.all.get(request.path_params["id"])
        if self._jobs.unavailable:
            self._jobs.unavailable -= 1
            return _error(503, "Service Unavailable")
        return _error(404, "Job not found") if job is None else JSONResponse(job.shown())

    async def _cancel(self, request: Request) -> Response:
        job = self._jobs.all[request.path_params["id"]]
        self._jobs.end(job, "CANCELED")
        return JSONResponse(job.shown())

    async def _logs(self, request: Request) -> Response:
        job = self._jobs.all[request.path_params["id"]]
        with self._jobs.changed:
            job.followed += 1
            self._jobs.changed.notify_all()
        cut = self._jobs.cut_logs.pop(0) if self._jobs.cut_logs else None
        return StreamingResponse(self._events(job, cut), media_type="text/event-stream")

    async def _events(self, job: RunJob, cut: int | None) -> AsyncIterator[str]:
        sent = 0
        while True:
            more = await asyncio.to_thread(self._more, job, sent)
            for line in more:
                if sent == cut:
                    raise ConnectionResetError("as a test asks")
                sent += 1
                stamp = datetime.now(UTC).isoformat()
                yield f"data: {json.dumps({'data': line, 'timestamp': stamp})}\n\n"
            if not more:
                return

    def _more(self, job: RunJob, sent: int) -> list[str]:
        """Waits for lines after those that were sent; returns none when the job has ended."""
        with self._jobs.changed:
            self._jobs.changed.wait_for(lambda: len(job.lines) > sent or job.stage in _ENDED, timeout=300)
            return job.lines[sent:]


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    own = {"X-Error-Message": message, "X-Request-Id": os.urandom(4).hex()}
    return JSONResponse({"error": message}, status, {**own, **(headers or {})})


@contextmanager
def jobs_on(world: World, auth: Path | None = None) -> Iterator[Jobs]:
    """Serves a world's Hub with jobs while the context lasts."""
    with ExitStack() as stack:
        accounts = Accounts.load(auth)
        jobs = Jobs(world, accounts=accounts)
        folder = stack.enter_context(take_folder(world.hub, make=True))
        hub = HubState.open(folder, accounts)
        stack.callback(hub.log.close)
        app = HubApp(hub, Guard("127.0.0.1", ()), Faults(), Patience(), None)
        jobs.url = stack.enter_context(served(_Api(jobs, app), "127.0.0.1", 0, Patience()))
        stack.callback(jobs.finish)
        yield jobs
