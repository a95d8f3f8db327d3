"""Many clients at once, and files larger than memory; the samples of each trial are small, the full ones are not."""

import hashlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

from hubtune.localhub.fsck import check_hub, large_files
from hubtune.localhub.hub_folder import take_folder

MIB = 1 << 20
MOST_MEMORY = 300 * MIB


@dataclass(frozen=True)
class Server:
    """A Hub in a process of its own, so that its memory is its own."""

    url: str
    process: int

    def peak_memory(self) -> int:
        """Returns the most memory that the server has had so far, in bytes."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.fixture
def server(root) -> Iterator[Server]:
    command = [sys.executable, "-m", "hubtune", "hub", "serve", str(root), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())[0]
        process.stderr.readline()
        yield Server(url, process.pid)
        process.terminate()
        assert process.stderr.read() == ""


def test_many_small_downloads_at_once_all_succeed(server, tmp_path, trials):
    count = trials(40, 200)
    api = HfApi(endpoint=server.url, token="t")
    api.create_repo("org/model")
    additions = [CommitOperationAdd(f"{n}.txt", str(n).encode() * 100) for n in range(count)]
    api.create_commit("org/model", additions, commit_message="m")

    def download(n: int) -> bytes:
        path = hf_hub_download("org/model", f"{n}.txt", endpoint=server.url, cache_dir=tmp_path / f"cache-{n}")
        return Path(path).read_bytes()

    with ThreadPoolExecutor(count) as pool:
        assert list(pool.map(download, range(count))) == [str(n).encode() * 100 for n in range(count)]


def test_several_large_uploads_at_once_all_succeed(server, root, tmp_path, trials):
    count, size = trials(3, 8), trials(32, 256) * MIB
    api = HfApi(endpoint=server.url, token="t")

    def upload(n: int) -> None:
        path = tmp_path / f"{n}.bin"
        with path.open("wb") as file:
            for block in blocks(size, seed=n):
                file.write(block)
        api.create_repo(f"org/model-{n}")
        api.upload_file(path_or_fileobj=path, path_in_repo="w.bin", repo_id=f"org/model-{n}")
        path.unlink()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(upload, range(count)))
    assert server.peak_memory() < MOST_MEMORY
    found = sorted(path.name for path in (root / "objects").rglob("*") if path.is_file())
    assert found == sorted(digest(blocks(size, seed=n)) for n in range(count))


def test_a_file_larger_than_the_server_s_memory_goes_in_and_out(server, root, raw_client, trials):
    size = trials(256, 4096) * MIB
    HfApi(endpoint=server.url, token="t").create_repo("org/model")
    raw = raw_client(server.url)
    sha = digest(blocks(size, seed=0))
    body = {"operation": "upload", "objects": [{"oid": sha, "size": size}]}
    batch = raw("POST", "/org/model.git/info/lfs/objects/batch", json.dumps(body).encode())
    href = batch.json["objects"][0]["actions"]["upload"]["href"]
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=600)
    connection.request("PUT", href.removeprefix(server.url), blocks(size, seed=0), {"Content-Length": str(size)})
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    lines = [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "lfsFile", "value": {"path": "w.bin", "oid": sha, "size": size}},
    ]
    assert raw("POST", "/api/models/org/model/commit/main", "\n".join(map(json.dumps, lines)).encode()).status == 200
    connection.request("GET", "/org/model/resolve/main/w.bin")
    response = connection.getresponse()
    assert digest(iter(lambda: response.read(MIB), b"")) == sha
    connection.close()
    assert server.peak_memory() < MOST_MEMORY


def test_one_of_many_writers_on_one_parent_wins(server, root, raw_client):
    api = HfApi(endpoint=server.url, token="t")
    api.create_repo("org/model")
    parent = api.model_info("org/model").sha
    raw = raw_client(server.url)

    def write(n: int) -> int:
        lines = [
            {"key": "header", "value": {"summary": str(n), "parentCommit": parent}},
            {"key": "file", "value": {"path": f"{n}.txt", "content": "x"}},
        ]
        return raw("POST", "/api/models/org/model/commit/main", "\n".join(map(json.dumps, lines)).encode()).status

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(write, range(16))) == [200] + [412] * 15
    assert len(api.list_repo_files("org/model")) == 2


@pytest.fixture(autouse=True)
def sound_in_the_end(root) -> Iterator[None]:
    yield
    with take_folder(root, make=False) as folder:
        report = check_hub(folder, large_files(folder), lambda _: None)
    assert (report.damage, report.leftovers) == ((), ())
    # Nothing of this size is to be kept for the next three runs, as pytest would.
    for path in large_files(folder):
        path.unlink()


def blocks(size: int, *, seed: int) -> Iterator[bytes]:
    """Yields bytes that differ from one mebibyte to the next, and from one seed to the next, without keeping any."""
    pattern = hashlib.shake_256(str(seed).encode()).digest(MIB - 8)
    for index in range(size // MIB):
        yield index.to_bytes(8, "big") + pattern


def digest(chunks: Iterator[bytes]) -> str:
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()
