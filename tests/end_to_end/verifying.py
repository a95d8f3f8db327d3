"""A published release that a test may tamper with: each case starts from the honest commit, on a branch of its own."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from hubtune.records.release import CONFIG, MANIFEST, PLACES, VerificationRecord
from hubtune.records.rundir import RunDirectory
from hubtune.verify.claims import VerifyOptions, verify_release
from tests.end_to_end.worlds import TARGET, World
from tests.listener import Listener
from tests.served_hub import ServedHub

TAG = "v1.0.0"
ALWAYS = ("repository", "files", "records", "licences", "card", "base", "data:lab/quotes", "model", "probe")


@dataclass
class Forge:
    """The Hub of a released world, and what its release held when it was honest."""

    hub: ServedHub
    honest: str
    files: Mapping[str, bytes]
    _number: count = field(default_factory=count)

    @classmethod
    def of(cls, hub: ServedHub, world: World) -> "Forge":
        honest = hub.tags(TARGET)[TAG]
        folder = world.root / "honest"
        hub.api.snapshot_download(TARGET, revision=honest, local_dir=folder)
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and ".cache" not in path.parts
        }
        return cls(hub, honest, files)

    def publish(self, changes: Mapping[str, bytes | None]) -> str:
        """Commits changes to the honest release, None being a file that goes, and moves the tag to that commit."""
        branch = f"case-{next(self._number)}"
        self.hub.api.create_branch(TARGET, branch=branch, revision=self.honest)
        operations = [
            CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
            for path, content in changes.items()
        ]
        made = self.hub.api.create_commit(TARGET, operations, commit_message="Change", revision=branch)
        self.move_tag(str(made.oid))
        return str(made.oid)

    def publish_consistently(self, changes: Mapping[str, bytes]) -> str:
        """The same, with the digests of the manifest brought up to date, as a forger would."""
        return self.publish({**changes, MANIFEST: self.manifest(changes)})

    def manifest(self, changes: Mapping[str, bytes]) -> bytes:
        """The manifest of the changed release."""
        manifest = json.loads(self.files[MANIFEST])
        names = {place: RunDirectory(self.hub.root).record_file(kind).name for kind, place in PLACES.items()}
        for path, content in changes.items():
            digest = manifest["files"][path] = hashlib.sha256(content).hexdigest()
            if path in names:
                manifest["records"][names[path]] = digest
            if path == CONFIG:
                manifest["config"] = digest
        return json.dumps(manifest, indent=2).encode()

    def move_tag(self, commit: str, tag: str = TAG) -> None:
        """Puts a tag on another commit, which no tool of the project does."""
        self.hub.api.delete_tag(TARGET, tag=tag)
        self.hub.api.create_tag(TARGET, tag=tag, revision=commit)

    def json(self, path: str) -> dict:
        """A document of the honest release."""
        return json.loads(self.files[path])


def verify(revision: str = TAG, **options: object) -> VerificationRecord:
    """Verifies the release in this process."""
    return verify_release(TARGET, revision, Listener(), VerifyOptions(**options))


def statuses(record: VerificationRecord) -> dict[str, str]:
    return {claim.name: claim.status for claim in record.claims}


def contradicted(record: VerificationRecord) -> dict[str, str]:
    """Name and detail of each claim that is contradicted."""
    return {claim.name: claim.detail for claim in record.contradicted}


def detail(record: VerificationRecord, name: str) -> str:
    return next(claim.detail for claim in record.claims if claim.name == name)
