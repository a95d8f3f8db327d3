"""The Hub's process may be killed at any moment: a branch is at an old commit or a new one, and whole."""

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading

import pytest
from huggingface_hub import HfApi, snapshot_download

from hubtune.localhub import EmbeddedHub

SERVE = """
import sys
from pathlib import Path
from hubtune.localhub import serve
serve(Path(sys.argv[1]), host="127.0.0.1", port=0, auth=None, on_ready=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_server_leaves_whole_commits(root, tmp_path, raw_client, seed):
    with subprocess.Popen([sys.executable, "-c", SERVE, str(root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        HfApi(endpoint=url, token="t").create_repo("org/model")
        written = write_until_killed(raw_client(url), process, random.Random(seed).uniform(0.1, 0.4))
    assert written > 0
    repo = ["git", "-c", "safe.directory=*", "-C", str(root / "repos/models/org/model.git")]
    assert subprocess.run([*repo, "fsck", "--full"], check=False, capture_output=True).returncode == 0
    with EmbeddedHub(root) as hub:
        commits = HfApi(endpoint=hub.url, token="t").list_repo_commits("org/model")
        # The last answer may have been lost on its way; nothing that was answered is.
        assert len(commits) - 1 in {written, written + 1}
        folder = snapshot_download("org/model", endpoint=hub.url, cache_dir=tmp_path / "cache")
        with open(f"{folder}/w.bin", "rb") as file, open(f"{folder}/sha.txt", encoding="ascii") as note:
            assert hashlib.sha256(file.read()).hexdigest() == note.read()


def write_until_killed(raw, process: subprocess.Popen, seconds: float) -> int:
    timer = threading.Timer(seconds, os.kill, (process.pid, signal.SIGKILL))
    timer.start()
    written = 0
    while process.poll() is None:
        # Not through the client, which would go on trying to reach the dead server for half a minute.
        try:
            written += write_commit(raw, random.Random(written).randbytes(2000)) == 200
        except (OSError, http.client.HTTPException):
            break
    timer.join()
    return written


def write_commit(raw, content: bytes) -> int:
    sha = hashlib.sha256(content).hexdigest()
    wanted = {"operation": "upload", "objects": [{"oid": sha, "size": len(content)}]}
    batch = raw("POST", "/org/model.git/info/lfs/objects/batch", json.dumps(wanted).encode())
    href = batch.json["objects"][0]["actions"]["upload"]["href"]
    raw("PUT", href.removeprefix(raw.url), content)
    lines = [
        {"key": "header", "value": {"summary": "next"}},
        {"key": "lfsFile", "value": {"path": "w.bin", "oid": sha}},
        {"key": "file", "value": {"path": "sha.txt", "content": sha}},
    ]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    return raw("POST", "/api/models/org/model/commit/main", body).status
