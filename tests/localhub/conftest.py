"""An embedded Hub for each test, and the unchanged client that talks to it."""

import http.client
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

# The client reads these once, when it is first imported.
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from huggingface_hub import HfApi

from hubtune.localhub import EmbeddedHub, HubOptions
from tests.end_to_end.preloaded import preloaded

AUTH = """
users:
  - {name: ann, fullname: Ann Author, token: t-ann, orgs: [{name: acme, fullname: Acme Labs}]}
  - {name: rob, token: t-rob, role: read, orgs: [{name: acme}]}
  - {name: eve, token: t-eve}
  - {name: pam, fullname: Pam Proposer, token: t-pam, role: pr}
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclass(frozen=True)
class RawClient:
    """Sends exactly the path it is given, where the real client would quote or refuse it."""

    url: str

    def __call__(
        self, method: str, path: str, body: bytes | None = None, token: str | None = "t", **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        answer = Answer(
            response.status, {k.lower(): v for k, v in response.getheaders()}, response.read(), response.reason
        )
        connection.close()
        return answer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture(scope="session")
def stopper() -> Iterator[Callable[[EmbeddedHub], object]]:
    # A server takes a fifth of a second to see that it should end; the next test need not wait for that.
    with ThreadPoolExecutor(4) as pool:
        ends: list[Future[None]] = []
        yield lambda hub: ends.append(pool.submit(hub.stop))
    for end in ends:
        end.result()


@pytest.fixture
def hub(root: Path, stopper) -> Iterator[EmbeddedHub]:
    hub = EmbeddedHub(root)
    hub.start()
    yield hub
    stopper(hub)


@pytest.fixture
def api(hub: EmbeddedHub) -> HfApi:
    return HfApi(endpoint=hub.url, token="t")


@pytest.fixture
def raw_client() -> type[RawClient]:
    return RawClient


@pytest.fixture
def raw(hub: EmbeddedHub) -> RawClient:
    return RawClient(hub.url)


@pytest.fixture
def model(api: HfApi) -> str:
    api.create_repo("org/model")
    return "org/model"


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    path = tmp_path / "auth.yaml"
    path.write_text(AUTH)
    return path


@pytest.fixture
def guarded(root: Path, auth: Path, stopper) -> Iterator[EmbeddedHub]:
    hub = EmbeddedHub(root, HubOptions(auth=auth))
    hub.start()
    yield hub
    stopper(hub)


@pytest.fixture
def as_user(guarded: EmbeddedHub) -> Callable[[str | None], HfApi]:
    def client(name: str | None) -> HfApi:
        return HfApi(endpoint=guarded.url, token=f"t-{name}" if name else False)

    return client


@pytest.fixture
def requests(root: Path):
    def read() -> list[dict]:
        return [json.loads(line) for line in (root / "requests.jsonl").read_text().splitlines()]

    return read


@pytest.fixture
def hf(hub: EmbeddedHub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the `hf` command line as a user does: in a process of its own, without our settings."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": os.environ["PATH"],
            "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": "t",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_COLOR": "1",
            **environment,
        }
        kept = {key: value for key, value in variables.items() if value}
        return preloaded().run(["hf", *arguments], tmp_path, kept, "from huggingface_hub.cli.hf import main; main()")

    return run
