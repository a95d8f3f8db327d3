"""Records of a run on Hugging Face Jobs: which job it is, what it is asked for, and what this machine knows of it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from hubtune.records.base import Commit, Record

JobName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class JobRecord(Record):
    """One job of Hugging Face Jobs.

    Attributes:
        id: The id that the Hub gave it.
        image: The Docker image that it runs in.
        flavor: The hardware that it runs on.
    """

    id: JobName
    image: _Text
    flavor: JobName


class RemoteRequest(Record):
    """The request to a job: `request.json` next to the config and the lock that it reads.

    Attributes:
        version: The version of hubtune that it has to be done by.
        branch: Where the config and the lock are, and where the run is put.
        image: The Docker image.
        flavor: The hardware.
        publish: Whether the run ends with a release.
        propose: Whether that is a pull request.
        launch: The launcher whose processes train, with its options; None to train in one process.
    """

    version: _Text
    branch: JobName
    image: _Text
    flavor: JobName
    publish: bool = False
    propose: bool = False
    launch: _Text | None = None


class RemoteRecord(Record):
    """What this machine knows about a run on another machine: `remote.json` of the run directory.

    Attributes:
        repo: The private data set repository that the job reads from and writes to.
        request: What was asked.
        commit: The commit of the request.
        namespace: Whose job it is.
        timeout: Seconds after which the Hub ends the job; None for the Hub's own limit.
        dependencies: What the job installs.
        secrets: Names of the environment variables that it gets as secrets.
        previous: The jobs that were submitted for it before, and ended without a run.
        job: The job's id; None until it is known to be submitted.
        fetched: The commit that the run was fetched from; None until then.
    """

    repo: _Text
    request: RemoteRequest
    commit: Commit
    namespace: _Text
    timeout: int | None = None
    dependencies: list[_Text] = Field(max_length=10)
    secrets: list[_Text] = Field(max_length=50)
    previous: list[JobName] = Field(default=[], max_length=1000)
    job: JobName | None = None
    fetched: Commit | None = None
