"""Finds credentials: tokens of known form, private keys, passwords in addresses and in assignments.

The forms of most vendors' tokens are those of detect-secrets; what it lacks, or judges by the file that a line is in,
stands here.
"""

import re
from collections.abc import Iterator
from functools import cache

from hubtune.data.screening.spans import Span

# One of these stands in every text that has a token of known form. It keeps the many patterns from most texts.
_WORTH_IT = re.compile(
    r"(?i:hf_|a3t|akia|asia|abia|acca|gh[pousr]_|github_pat_|gl[a-z]{2,5}-|gr1348941|xox|hooks\.slack|[rs]k_live|aiza|sk-|"
    r"npm_|pypi-|sg\.|eyj|dop_v1_|private key|sq0csp|:aa|-us\d|aws)|AC[a-z0-9]{32}|SK[a-z0-9]{32}|[MNO][\w-]{23,25}\.|"
    r"\d{8}:[\w-]{35}"
)
_OWN = tuple(
    re.compile(pattern)
    for pattern in (
        r"\bhf_[A-Za-z0-9]{30,40}\b",
        r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b",
        r"\bsk-(?:proj-|svcacct-|ant-[a-z]+\d*-)[\w-]{32,200}",
        # As the library's, but bounded: that one takes minutes for a row of "sk-sk-sk-".
        r"\bsk-[\w-]{0,100}[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
        r"\bAIza[\w-]{35}(?![\w-])",
        r"\beyJ[\w-]{10,}\.eyJ[\w-]{4,}\.[\w-]{16,}",
        r"\bdop_v1_[0-9a-f]{64}\b",
        r"\bnpm_[A-Za-z0-9]{36}\b",
        r"\bxox[abeprs]-\d+-[\w-]{10,}",
        r"\b\d{8,10}:AA[\w-]{33}(?![\w-])",
        r"https://hooks\.slack\.com/services/[\w/]{30,}",
    )
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:.{0,20000}?-----END (?P=kind)-----|[A-Za-z0-9+/=\s\\]{0,20000})",
    re.DOTALL,
)
_IN_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s:/?#@]{0,64}:(?P<value>[^\s/?#@]{6,128})@(?=[\w\[])", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"""(?:password|passwd|passphrase|\bpwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key
    |credentials?|auth)(?:[_-]?(?:key|token|id|access[_-]?key))?["']?\s{0,3}(?::=|=>|=|:|\bis\b)\s{0,3}
    (?P<quote>["'`]?)(?P<value>[^\s"'`,;<>(){}\[\]]{8,200})(?![(\[{])""",
    re.IGNORECASE | re.VERBOSE,
)
_DIGEST = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{128})\Z")
_EXAMPLE = re.compile(r"example|your|change.?me|xxx|\*\*|placeholder|dummy|redacted|\.\.\.", re.IGNORECASE)
_REFERENCE = re.compile(r"\$[\w({]|%\w+%|(?:os\.|process\.|sys\.)?env|[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_]")
_FEWEST_DISTINCT = 7


def find_secrets(text: str) -> Iterator[Span]:
    """Finds credentials.

    In an assignment such as `password = …` a value counts when it mixes letters and digits, or cases in an unusual way,
    and is no placeholder. Missed are passwords made of words, and those that no word announces.
    """
    if _WORTH_IT.search(text):
        for pattern in (*_OWN, *_vendors()):
            for found in pattern.finditer(text):
                if _stands_alone(text, found) and not _is_placeholder(found[0]):
                    yield Span(*found.span(), "secret")
        for found in _PRIVATE_KEY.finditer(text):
            yield Span(found.start(), found.start() + len(found[0].rstrip()), "secret")
    if "://" in text:
        for found in _IN_URL.finditer(text):
            if _is_random(found["value"]):
                yield Span(*found.span("value"), "secret")
    for found in _ASSIGNED.finditer(text):
        value = found["value"].rstrip(".!?:")
        if _is_random(value) and not _DIGEST.match(value):
            yield Span(found.start("value"), found.start("value") + len(value), "secret")


@cache
def _vendors() -> tuple[re.Pattern[str], ...]:
    from detect_secrets.plugins import (
        aws,
        discord,
        github_token,
        gitlab_token,
        mailchimp,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )

    detectors = (
        *(discord.DiscordBotTokenDetector, github_token.GitHubTokenDetector, gitlab_token.GitLabTokenDetector),
        *(mailchimp.MailchimpDetector, pypi_token.PypiTokenDetector),
        *(sendgrid.SendGridDetector, slack.SlackDetector, square_oauth.SquareOAuthDetector, stripe.StripeDetector),
        *(telegram_token.TelegramBotTokenDetector, twilio.TwilioKeyDetector),
    )
    # The second pattern for AWS takes the words before the key for part of it.
    return (aws.AWSKeyDetector.denylist[0], *(pattern for detector in detectors for pattern in detector.denylist))


def _stands_alone(text: str, found: re.Match[str]) -> bool:
    """Whether the token is no part of a longer word, such as the Base64 of a picture."""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    return not (before.isalnum() or after.isalnum() or before in tuple("+/") or after in tuple("+/"))


def _is_placeholder(value: str) -> bool:
    return bool(_EXAMPLE.search(value)) or len(set(value)) < _FEWEST_DISTINCT


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed as in no word and no name of a variable."""
    if _is_placeholder(value) or _REFERENCE.match(value):
        return False
    return bool(re.search(r"[^\W\d_]", value)) and bool(re.search(r"\d", value))
