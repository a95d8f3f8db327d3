"""The job of `hubtune verify`: checks every claim of a release independently."""

from dataclasses import dataclass
from functools import partial

from hubtune import __version__
from hubtune.config.fields import is_commit
from hubtune.errors import ConfigError, HubtuneError
from hubtune.files import scratch_folder
from hubtune.hub.snapshot import require_cache
from hubtune.records.base import Progress
from hubtune.records.release import Claim, VerificationRecord
from hubtune.verify.card_claim import check_card
from hubtune.verify.input_claims import check_base, check_data, check_earlier, check_licenses, pins_of
from hubtune.verify.model_claims import check_evaluation, check_model
from hubtune.verify.record_claims import check_files, check_origin, check_records, check_repository
from hubtune.verify.release_documents import Subject, fetch_subject, judged

# Each costs a request; a forged manifest could list thousands.
_MOST_DATA = 100


@dataclass(frozen=True)
class VerifyOptions:
    """What the verifier knows about a release, and what it may do to check it.

    Attributes:
        announced: The commit, 40 hexadecimal digits, that the publisher announced.
        evaluate: Whether to evaluate base and tuned model again.
        allow_remote_code: The commit of the base whose Python code may be run; None for none, whatever the release's
            own config allows.
    """

    announced: str | None = None
    evaluate: bool = False
    allow_remote_code: str | None = None


def verify_release(
    repo: str, revision: str, progress: Progress, options: VerifyOptions | None = None
) -> VerificationRecord:
    """Checks every claim of a release from public sources only.

    Args:
        repo: A model repository.
        revision: A tag, a branch or a commit; it is asked for once.
        progress: Reports each slow step.
        options: What else is known of it, and what may be done; by default nothing.

    Raises:
        ConfigError: The announced commit is not a whole commit.
        HubError: The repository or the revision cannot be read at all.
        DiskFullError: There is no room for the release's files.
        FileError: The Hub client's cache cannot be written.
    """
    options = options or VerifyOptions()
    announced, allow_remote_code = options.announced, options.allow_remote_code
    if announced is not None and not is_commit(announced):
        raise ConfigError(
            f"{announced!r} is not a commit: 40 hexadecimal digits in lower case.",
            hint="Give the whole commit that the publisher announced; a shorter one can be met by trying.",
        )
    # Else each claim that takes an input would say that it cannot be kept.
    require_cache()
    with scratch_folder() as scratch:
        folder = scratch / "release"
        folder.mkdir()
        subject = fetch_subject(repo, revision, folder, progress)
        again = partial(check_evaluation, wanted=options.evaluate, allow_remote_code=allow_remote_code)
        claims = [
            judged("repository", lambda: check_repository(subject)),
            judged("files", lambda: check_files(subject)),
            judged("records", lambda: check_records(subject)),
            judged("licences", lambda: check_licenses(subject)),
            judged("card", lambda: check_card(subject)),
            judged("base", lambda: check_base(subject)),
            *_earlier(subject),
            *_data(subject),
            *check_model(subject, progress, allow_remote_code),
            judged("evaluation", lambda: again(subject, progress, scratch / "run")),
            judged("origin", lambda: check_origin(subject, announced)),
        ]
    return VerificationRecord(repo=repo, requested=revision, commit=subject.commit, hubtune=__version__, claims=claims)


def _earlier(subject: Subject) -> list[Claim]:
    try:
        pin = pins_of(subject).adapter
    except HubtuneError:
        # The claim about the base says why.
        return []
    return [] if pin is None else [judged(f"adapter:{pin.repo}", lambda: check_earlier(pin))]


def _data(subject: Subject) -> list[Claim]:
    try:
        found = pins_of(subject)
    except HubtuneError as error:
        return [Claim(name="data", status="unchecked", detail=error.message)]
    distinct = list({(pin.repo, pin.commit): pin for pin in [*found.data, *found.earlier]}.values())
    claims = [judged(f"data:{pin.repo}", partial(check_data, subject, pin)) for pin in distinct[:_MOST_DATA]]
    if len(distinct) > _MOST_DATA:
        text = f"{len(distinct) - _MOST_DATA} more datasets are listed than are asked for"
        claims.append(Claim(name="data", status="unchecked", detail=text))
    return claims
