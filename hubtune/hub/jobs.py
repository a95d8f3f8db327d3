"""Hugging Face Jobs: the available hardware, and submitting, finding, watching and following a job.

A secret is only named here, and read from the environment at the moment it is sent, so that no other part of hubtune
holds its value. The Hub keeps secrets apart from a job's command and environment, and shows them to nobody.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, JobInfo, constants
from huggingface_hub._jobs_api import DEFAULT_UV_IMAGE, TERMINAL_JOB_STAGES
from huggingface_hub.errors import HfHubHTTPError

from hubtune.config.fields import PUBLIC_HUB
from hubtune.errors import ConfigError, HubError, MissingTokenError, PermissionDeniedError
from hubtune.hub.client import RequestLimits, current_token, limited
from hubtune.hub.translate import hub_answer, mask

IMAGE = DEFAULT_UV_IMAGE
"""The image of a job: Debian with Python and uv."""
TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable, not a token
"""The secret that every job gets."""
# Of this machine's environment: what the client inside needs to talk to the same Hub in the same way.
_PASSED_ON = ("HF_HUB_DISABLE_XET",)
_NO_JOBS = (404, 405, 501)
_GONE = 404
_LONGEST_LINE = 10_000


@dataclass(frozen=True)
class Flavor:
    """A kind of machine that jobs run on, with its price in dollars for each unit of time, such as a minute."""

    name: str
    title: str
    price: float
    unit: str


@dataclass(frozen=True)
class Job:
    """A job as the Hub describes it.

    Attributes:
        stage: Such as `RUNNING`.
        message: Why it is in that stage, if the Hub says so.
        url: Its page.
    """

    id: str
    stage: str
    message: str | None
    url: str

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.stage in TERMINAL_JOB_STAGES

    @property
    def completed(self) -> bool:
        """Whether the job succeeded."""
        return self.stage == "COMPLETED"


@dataclass(frozen=True)
class JobDraft:
    """A job that is to be submitted.

    Attributes:
        namespace: Whose job it is.
        command: The program and its arguments, installed by uv.
        dependencies: Packages to install.
        flavor: The hardware.
        timeout: Seconds; None for the Hub's own limit.
        secrets: Names of environment variables whose values are sent as secrets.
        labels: By which it is found again.
    """

    namespace: str
    command: Sequence[str]
    dependencies: Sequence[str]
    flavor: str
    timeout: int | None
    secrets: Sequence[str]
    labels: dict[str, str] = field(default_factory=dict)


def flavors() -> list[Flavor]:
    """Returns the hardware that this Hub offers.

    Raises:
        HubError: It has no jobs, or cannot be asked.
    """
    with _answer(), hub_answer():
        return [
            Flavor(str(one.name), str(one.pretty_name), float(one.unit_cost_usd), str(one.unit_label))
            for one in HfApi().list_jobs_hardware()
        ]


def require_secrets(names: Sequence[str]) -> None:
    """Checks that each secret has a value on this machine.

    Raises:
        ConfigError: One has none.
        MissingTokenError: There is no token.
    """
    for name in names:
        _secret(name)


def submit(draft: JobDraft) -> Job:
    """Submits a job.

    Raises:
        PermissionDeniedError: The account may not, or cannot pay for it.
        HubError: Any other failure. Whether the job was submitted is then open, until the jobs are listed.
    """
    _require_no_files(draft.command)
    program, *arguments = draft.command
    secrets = {name: _secret(name) for name in draft.secrets}
    with _answer(draft.namespace), hub_answer():
        info = HfApi().run_uv_job(
            program,
            script_args=arguments,
            dependencies=[*draft.dependencies],
            image=IMAGE,
            env=_environment(),
            secrets=dict(secrets),
            flavor=draft.flavor,
            timeout=draft.timeout,
            labels=draft.labels,
            namespace=draft.namespace,
        )
        return _job(info)


def _require_no_files(command: Sequence[str]) -> None:
    """Refuses if the Hub's client would take a word of the command for a local script, and upload it."""
    named = [word for word in command if Path(word).is_file()]
    if named:
        raise ConfigError(
            f"This folder has a file called {named[0]}, which would be uploaded in place of the command.",
            hint="Run the command in another folder, or rename the file.",
        )


def find(namespace: str, labels: dict[str, str]) -> Job | None:
    """Returns the newest job with these labels; None if there is none.

    Raises:
        HubError: They cannot be listed.
    """
    with _answer(namespace), hub_answer():
        found = sorted(
            HfApi().list_jobs(labels=labels, namespace=namespace),
            key=lambda info: info.created_at.timestamp() if info.created_at else 0.0,
        )
        return _job(found[-1]) if found else None


def inspect(namespace: str, job: str) -> Job:
    """Returns a job as it is now.

    One that the Hub does not know any more was deleted.

    Raises:
        HubError: The Hub cannot be asked.
    """
    try:
        with _answer(namespace), hub_answer():
            return _job(HfApi().inspect_job(job_id=job, namespace=namespace))
    except HubError as error:
        if _status(error) != _GONE:
            raise
        return Job(job, "DELETED", None, f"{constants.ENDPOINT}/jobs/{namespace}/{job}")


def follow(namespace: str, job: str) -> Iterator[str]:
    """Yields the lines of a job's log from its start until the job ends or is deleted, each without secrets.

    Raises:
        HubError: The connection was lost more often in a row than the client tries again.
    """
    try:
        # A job may say nothing for a long time.
        with limited(RequestLimits(said=math.inf)), _answer(namespace), hub_answer():
            for line in HfApi().fetch_job_logs(job_id=job, namespace=namespace, follow=True):
                yield mask(line[:_LONGEST_LINE])
    except HubError as error:
        if _status(error) != _GONE:
            raise


def _job(info: JobInfo) -> Job:
    message = info.status.message
    stage = str(getattr(info.status.stage, "value", info.status.stage))
    return Job(str(info.id), stage, None if message is None else mask(str(message)), str(info.url))


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
    return passed if constants.ENDPOINT == PUBLIC_HUB else {"HF_ENDPOINT": constants.ENDPOINT, **passed}


def _secret(name: str) -> str:
    value = current_token() if name == TOKEN else os.environ.get(name)
    if value:
        return value
    if name == TOKEN:
        raise MissingTokenError(
            "A job needs a token, and there is no token here.", hint="Log in with `hf auth login`, or set HF_TOKEN."
        )
    raise ConfigError(
        f"--secret names {name}, and the environment has no variable {name}.",
        hint=f"Set it before the command, without writing its value into a script: read -rs {name} && export {name}",
    )


def _status(error: HubError) -> int | None:
    """Returns the status of the answer that an error tells of."""
    cause = error.__cause__
    return cause.response.status_code if isinstance(cause, HfHubHTTPError) else None


@contextmanager
def _answer(namespace: str = "") -> Iterator[None]:
    """Tells the refusals that only jobs have."""
    try:
        yield
    except HubError as error:
        cause, status = error.__cause__, _status(error)
        of_submitting = isinstance(cause, HfHubHTTPError) and cause.response.request.method == "POST"
        whose = f" for {namespace}" if namespace else ""
        if status == 402:
            raise PermissionDeniedError(
                f"The Hub does not start a job{whose}: jobs are paid for, and the account has no credit.",
                hint=f"Add credit at {PUBLIC_HUB}/settings/billing, then run the command again.",
            ) from cause
        if status == 403:
            raise PermissionDeniedError(
                f"The token may not use jobs{whose}: {mask(cause.server_message or '') or 'the Hub refused'}."
                if isinstance(cause, HfHubHTTPError)
                else error.message,
                hint=f"Use a token that may start and manage jobs: {PUBLIC_HUB}/settings/tokens",
            ) from cause
        if status in _NO_JOBS and (of_submitting or not namespace):
            raise HubError(
                f"The Hub at {constants.ENDPOINT} has no jobs.",
                hint=f"Jobs run on the public Hub: unset HF_ENDPOINT for {PUBLIC_HUB}. Or leave out --remote, to run "
                "on this machine.",
            ) from cause
        raise
