"""The Hub's process may be killed at any moment: every branch is at an old commit or a new one, and whole."""

import contextlib
import hashlib
import http.client
import json
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError

from hubtune.localhub import EmbeddedHub
from hubtune.localhub.fsck import HubReport, check_hub, large_files
from hubtune.localhub.hub_folder import take_folder

SERVER = Path(__file__).with_name("killed_server.py")
# About three rounds of what `Writer.round` does; the rounds differ in which folders are there already.
POINTS = 420


def test_a_hub_that_is_killed_while_it_writes_loses_nothing_and_breaks_nothing(tmp_path, raw_client, trials):
    for point in points(trials(4, 100)):
        root = tmp_path / f"killed-at-{point}"
        with EmbeddedHub(root) as hub:
            HfApi(endpoint=hub.url, token="t").create_repo("org/model")
        written = write_until_killed(root, point, raw_client)
        report = check(root)
        assert report.damage == (), point
        with EmbeddedHub(root) as hub:
            assert_kept(HfApi(endpoint=hub.url, token="t"), written, tmp_path / f"cache-{point}", point)
            # Nothing that the killed server held keeps the next one from writing.
            Writer(raw_client(hub.url), "after").round()
        after = check(root)
        assert (after.damage, after.leftovers) == ((), ()), point


def points(number: int) -> list[int]:
    """Draws so many points, one from each of as many stretches."""
    draw = random.Random(3)
    return [POINTS * index // number + draw.randint(1, POINTS // number) for index in range(number)]


@dataclass
class Written:
    """What the Hub said it had done, in order, and whether it was killed over a request."""

    commits: list[str] = field(default_factory=list)
    packed: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    repos: list[str] = field(default_factory=list)


class Writer:
    """Writes to a Hub with plain requests: the client would go on trying to reach the dead server for half a minute."""

    def __init__(self, raw, name: str) -> None:
        self._raw = raw
        self._name = name
        self._rounds = 0
        self.written = Written()

    def round(self) -> None:
        """Makes a commit of a large file, a tag, a repository with a commit of many files, and a passing branch."""
        self._rounds += 1
        label = f"{self._name}-{self._rounds}"
        commit = self._commit("org/model", self._weights(label))
        self.written.commits.append(commit)
        self._ask("POST", f"/api/models/org/model/tag/{commit}", {"tag": label, "message": "m"})
        self.written.tags[label] = commit
        self._ask("POST", "/api/repos/create", {"name": label, "organization": "org"})
        self.written.repos.append(f"org/{label}")
        many = [("file", {"path": f"d/{n}.txt", "content": f"{label} {n}"}) for n in range(120)]
        self.written.packed.append(self._commit(f"org/{label}", many))
        self._ask("POST", f"/api/models/org/model/branch/to%2F{label}", {})
        self._ask("DELETE", f"/api/models/org/model/branch/to%2F{label}", None)

    def _weights(self, label: str) -> list[tuple[str, dict]]:
        content = random.Random(label).randbytes(2000)
        sha = hashlib.sha256(content).hexdigest()
        wanted = {"operation": "upload", "objects": [{"oid": sha, "size": len(content)}]}
        batch = self._ask("POST", "/org/model.git/info/lfs/objects/batch", wanted)
        href = batch["objects"][0]["actions"]["upload"]["href"]
        assert self._raw("PUT", href.removeprefix(self._raw.url), content).status == 200
        return [("lfsFile", {"path": "w.bin", "oid": sha}), ("file", {"path": "sha.txt", "content": sha})]

    def _commit(self, repo: str, operations: list[tuple[str, dict]]) -> str:
        lines = [("header", {"summary": "next"}), *operations]
        body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
        answer = self._raw("POST", f"/api/models/{repo}/commit/main", body.encode())
        assert answer.status == 200, answer.body
        return answer.json["commitOid"]

    def _ask(self, method: str, path: str, body: dict | None) -> dict:
        answer = self._raw(method, path, None if body is None else json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return answer.json


def write_until_killed(root: Path, point: int, raw_client) -> Written:
    command = [sys.executable, str(SERVER), str(root), str(point)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        writer = Writer(raw_client(process.stdout.readline().strip()), "before")
        try:
            while process.poll() is None:
                writer.round()
        except (OSError, http.client.HTTPException):
            process.wait()
        assert process.returncode == -9
    return writer.written


def assert_kept(api: HfApi, written: Written, cache: Path, point: int) -> None:
    history = [commit.commit_id for commit in reversed(api.list_repo_commits("org/model"))]
    # The last answer may have been lost on its way; nothing that was answered is.
    assert history[1 : len(written.commits) + 1] == written.commits, point
    assert len(history) - 1 - len(written.commits) in {0, 1}, point
    tags = {ref.name: ref.target_commit for ref in api.list_repo_refs("org/model").tags}
    assert tags.items() >= written.tags.items(), point
    assert set(tags.values()) <= set(history), point
    for commit in history[1:]:
        folder = Path(snapshot_download("org/model", revision=commit, endpoint=api.endpoint, cache_dir=cache))
        assert hashlib.sha256((folder / "w.bin").read_bytes()).hexdigest() == (folder / "sha.txt").read_text(), point
    for repo in written.repos:
        files = {path for path in api.list_repo_files(repo) if path != ".gitattributes"}
        assert len(files) in {0, 120}, point
    for repo, commit in zip(written.repos, written.packed, strict=False):
        assert api.model_info(repo).sha == commit, point
    assert_whole(api, f"org/before-{len(written.repos) + 1}")


def assert_whole(api: HfApi, repo: str) -> None:
    """The repository that was being made is there with its first commit, or not at all."""
    with contextlib.suppress(RepositoryNotFoundError):
        assert api.list_repo_files(repo) == [".gitattributes"]


def check(root: Path) -> HubReport:
    with take_folder(root, make=False) as folder:
        return check_hub(folder, large_files(folder), lambda _: None)
