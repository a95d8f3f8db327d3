"""Cloning and fetching with git itself, by its smart HTTP protocol. Nothing can be pushed this way."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from dulwich.errors import GitProtocolError
from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from hubtune.localhub.accounts import BASIC
from hubtune.localhub.api.call import Call
from hubtune.localhub.api.git_request import bounded
from hubtune.localhub.errors import ApiError
from hubtune.localhub.repos import HubRepo

_PATH = "/"
_IN_MEMORY = 4 << 20
_CHUNK = 1 << 16
_LONGEST_REQUEST = 8 << 20
_NO_PUSH = (
    "This Hub can be cloned and fetched with git, but not pushed to.\n"
    "Upload with `hf upload` or huggingface_hub instead.\n"
)


def advertise(call: Call) -> Response:
    """GET /{prefix}{id}/info/refs: which refs there are."""
    service = call.query.get("service")
    if service == "git-receive-pack":
        return refuse_push(call)
    if service != "git-upload-pack":
        raise ApiError(403, "Only git's smart HTTP protocol is served here.")
    repo = fetchable(call)
    answer = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it was sent
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
    answer = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it was sent
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
