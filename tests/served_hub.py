"""An embedded Hub for one test, with this process's unchanged client pointed to it."""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubtune.localhub import EmbeddedHub, Faults, HubOptions
from hubtune.pages.renderer import Renderer

if TYPE_CHECKING:
    from huggingface_hub import HfApi

USERS = """
users:
  - {name: ann, token: hf_annannann, orgs: [{name: org}]}
  - {name: rob, token: hf_robrobrob, role: read, orgs: [{name: org}]}
  - {name: pat, token: hf_patpatpat, role: pr, orgs: [{name: org}]}
  - {name: eve, token: hf_eveeveeve}
"""


@dataclass(frozen=True)
class ServedHub:
    """A running Hub.

    Attributes:
        root: Its folder.
        cache: The client's cache.
        faults: What is to go wrong; rules can be added at any time.
    """

    url: str
    root: Path
    cache: Path
    token: str
    faults: Faults = field(default_factory=Faults)

    @property
    def api(self) -> "HfApi":
        """A client of the test's own, with the token that `serve` signs in with."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=self.token)

    def commit(self, repo: str, files: dict[str, bytes], repo_type: str = "model", **options: object) -> str:
        """Commits files to a repository, which is made when missing, and returns the commit."""
        from huggingface_hub import CommitOperationAdd

        self.api.create_repo(repo, repo_type=repo_type, exist_ok=True)
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        made = self.api.create_commit(repo, operations, repo_type=repo_type, commit_message="Add", **options)
        return str(made.oid)

    def commit_folder(self, repo: str, folder: Path, repo_type: str = "model") -> str:
        """Commits every file of a folder."""
        return self.commit(repo, {path.name: path.read_bytes() for path in folder.iterdir()}, repo_type)

    def set_ref(self, repo: str, ref: str, commit: str, repo_type: str = "model") -> None:
        """Puts a ref on a commit in the repository itself, also one that the Hub would refuse to make."""
        path = self.root / "repos" / f"{repo_type}s" / f"{repo}.git" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{commit}\n")

    def head(self, repo: str, repo_type: str = "model") -> str:
        """Returns the commit that main is on."""
        return str(self.api.repo_info(repo, repo_type=repo_type).sha)

    def tags(self, repo: str) -> dict[str, str]:
        """Returns the commit of each tag."""
        return {ref.name: ref.target_commit for ref in self.api.list_repo_refs(repo).tags}

    def requests(self) -> list[dict[str, str | int | None]]:
        """Returns every request so far, in order."""
        return [json.loads(line) for line in (self.root / "requests.jsonl").read_text().splitlines()]

    def commits_sent(self) -> int:
        """Returns how many commits were asked for so far."""
        return sum("/commit/" in str(line["path"]) and line["method"] == "POST" for line in self.requests())


@functools.cache
def _renderer() -> Renderer:
    """One for all Hubs, which keeps its templates compiled."""
    return Renderer()


@contextmanager
def serve(
    root: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    guarded: bool = False,
    faults: Faults | None = None,
) -> Iterator[ServedHub]:
    """Serves a Hub in `root` and points the client to it, signed in as a user who may write to `org`."""
    from huggingface_hub import constants

    auth = root.with_name("auth.yaml")
    if guarded:
        auth.write_text(USERS)
    token = "hf_annannann"
    faults = faults or Faults()
    options = HubOptions(auth=auth if guarded else None)
    with EmbeddedHub(root, options, faults=faults, pages=_renderer()) as hub:
        # The client looks these up at each call; it has read them from the environment when it was imported.
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setenv("HF_TOKEN", token)
        yield ServedHub(hub.url, root, cache, token, faults)
