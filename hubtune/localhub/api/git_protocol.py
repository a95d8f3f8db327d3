"""Cloning and fetching with git itself, by its smart HTTP protocol. Nothing can be pushed this way.

What git asks for is read and bounded before dulwich gets it: its own handlers would do any amount of work.
"""

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from dulwich.errors import GitProtocolError
from dulwich.objects import ObjectID
from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from hubtune.localhub.accounts import BASIC
from hubtune.localhub.api.call import Call
from hubtune.localhub.api_errors import ApiError
from hubtune.localhub.repos import HubRepo

_LONGEST_LINE = 65_520
_MOST_LINES = 50_000
_MOST_WANTS = 10_000
# Each that the repository has is compared with the history of all that is wanted.
_MOST_COMPARED = 4096
_MOST_KNOWN = 64
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")
_DIGEST = re.compile(rb"[0-9a-f]{40}(?: |\Z)")
_DEEPEN = re.compile(rb"deepen [0-9]{1,9}\n?")
_FILTER = re.compile(rb"blob:none|blob:limit=[0-9]{1,12}[kmg]?|tree:[0-9]{1,6}|object:type=(?:blob|tree|commit|tag)")
_FLUSH = b"0000"
_PATH = "/"
_IN_MEMORY = 4 << 20
_CHUNK = 1 << 16
_LONGEST_REQUEST = 8 << 20
_NO_PUSH = (
    "This Hub can be cloned and fetched with git, but not pushed to.\n"
    "Upload with `hf upload` or huggingface_hub instead.\n"
)


def bounded(git: Repo, body: bytes) -> bytes:
    """Returns a request to `git-upload-pack` without the lines that change nothing but the work.

    Of the commits that the client has, those that the repository lacks say nothing, and of the others the first do:
    without the rest, more is sent than the client needs.

    Raises:
        ApiError: 400 for what is not such a request, or a filter that could run forever; 413 for too many lines.
    """
    kept: list[bytes] = []
    wants: set[bytes] = set()
    haves: set[bytes] = set()
    known = 0
    for line in _lines(body):
        command, _, value = line.rstrip(b"\n").partition(b" ")
        digest = value[:40]
        if command in {b"want", b"have", b"shallow"} and not _DIGEST.match(value):
            raise ApiError(400, f"Git's request cannot be read: {command.decode()} needs the digest of a commit.")
        if command == b"want":
            _check_filters(re.findall(rb"filter=(\S+)", value))
            if digest in wants:
                continue
            wants.add(digest)
            if len(wants) > _MOST_WANTS:
                raise ApiError(413, f"A request may want {_MOST_WANTS} objects at most.")
        elif command == b"have":
            most = min(_MOST_KNOWN, max(1, _MOST_COMPARED // max(1, len(wants))))
            is_new = digest not in haves and known < most and ObjectID(digest) in git.object_store
            haves.add(digest)
            if not is_new:
                continue
            known += 1
        elif command == b"filter":
            _check_filters([value])
        elif command.startswith(b"deepen") and not _DEEPEN.fullmatch(line):
            raise ApiError(400, "Git's request cannot be read: it may be shallow by a number of commits alone.")
        kept.append(b"%04x%s" % (len(line) + 4, line) if line else _FLUSH)
    return b"".join(kept)


def _lines(body: bytes) -> Iterator[bytes]:
    """Yields the content of each packet; empty for one that separates."""
    at = count = 0
    while at < len(body):
        prefix = body[at : at + 4]
        length = int(prefix, 16) if _LENGTH.fullmatch(prefix) else -1
        if not (length == 0 or 4 < length <= _LONGEST_LINE) or at + max(length, 4) > len(body):
            raise ApiError(400, "Git's request cannot be read: it is not made of packets.")
        count += 1
        if count > _MOST_LINES:
            raise ApiError(413, f"A request may have {_MOST_LINES} lines at most.")
        yield body[at + 4 : at + max(length, 4)]
        at += max(length, 4)


def _check_filters(filters: list[bytes]) -> None:
    for found in filters:
        if not _FILTER.fullmatch(found):
            raise ApiError(400, f"This Hub has no such filter: {found[:100].decode(errors='replace')}")


def advertise(call: Call) -> Response:
    """GET /{prefix}{id}/info/refs: which refs there are."""
    service = call.query.get("service")
    if service == "git-receive-pack":
        return refuse_push(call)
    if service != "git-upload-pack":
        raise ApiError(403, "Only git's smart HTTP protocol is served here.")
    repo = fetchable(call)
    answer = _answer_file()
    with repo.git() as git:
        handler = _handler(git, BytesIO(), answer, advertise=True)
        handler.proto.write_pkt_line(b"# service=git-upload-pack\n")
        handler.proto.write_pkt_line(None)
        handler.handle()
    return _sent(answer, "application/x-git-upload-pack-advertisement")


def upload_pack(call: Call) -> Response:
    """POST /{prefix}{id}/git-upload-pack: the objects that the client lacks."""
    repo = fetchable(call)
    body = _body(call)
    answer = _answer_file()
    with repo.git() as git:
        question = BytesIO(bounded(git, body))
        try:
            _handler(git, question, answer, advertise=False).handle()
        except (GitProtocolError, ValueError, AssertionError) as error:
            answer.close()
            raise ApiError(400, f"Git's request cannot be read: {error}") from error
    return _sent(answer, "application/x-git-upload-pack-result")


def refuse_push(call: Call) -> Response:
    """Every request that belongs to a push: git prints the text."""
    fetchable(call)
    return PlainTextResponse(_NO_PUSH, status_code=403)


def fetchable(call: Call) -> HubRepo:
    """Returns the repository of the path to one who may read its files; git is told how to ask for a token.

    Raises:
        ApiError: As `Call.readable` and `Call.gated`.
    """
    try:
        return call.gated(call.readable())
    except ApiError as error:
        # Git asks its user for a token only after such an answer.
        if error.status == 401:
            error.headers["WWW-Authenticate"] = BASIC
        raise


def _answer_file() -> tempfile.SpooledTemporaryFile[bytes]:
    """Returns a file for an answer; `_sent` closes it."""
    return tempfile.SpooledTemporaryFile(_IN_MEMORY)


def _handler(git: Repo, question: IO[bytes], answer: IO[bytes], *, advertise: bool) -> UploadPackHandler:
    repos: dict[str, BackendRepo] = {_PATH: git}
    return UploadPackHandler(
        DictBackend(repos),
        [_PATH],
        ReceivableProtocol(question.read, answer.write),
        stateless_rpc=True,
        advertise_refs=advertise,
    )


def _body(call: Call) -> bytes:
    if call.headers.get("content-encoding") != "gzip":
        return call.body
    try:
        with gzip.open(BytesIO(call.body)) as file:
            body = file.read(_LONGEST_REQUEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ApiError(400, "The body is not gzip.") from error
    if len(body) > _LONGEST_REQUEST:
        raise ApiError(413, "The body is too large.")
    return body


def _sent(file: IO[bytes], media_type: str) -> Response:
    file.seek(0)
    return StreamingResponse(_chunks(file), media_type=media_type, headers={"Cache-Control": "no-cache"})


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
