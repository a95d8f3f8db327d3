"""Finds credentials: tokens of known form, private keys, passwords in addresses, and what a word announces.

The forms of most vendors' tokens are those of detect-secrets; what it lacks, or judges by the file that a line is in,
stands here.
"""

import re
from collections.abc import Iterator
from functools import cache

from hubtune.data.screening.announced import find_announced, is_mixed, is_placeholder
from hubtune.data.screening.spans import Span

# In lower case, one of these is in every text with a token of known form. It keeps the many patterns from most texts.
_MARKS = (
    *("hf_", "akia", "asia", "abia", "acca", "a3t", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "gr1348941"),
    *("xox", "xapp-", "hooks.slack", "sk_", "rk_", "aiza", "sk-", "npm_", "pypi-", "sg.", "eyj", "dop_v1_", "sq0csp"),
    *("private key", ":aa", "hvs.", "dckr_pat_", "shpat_", "shpca_", "shppa_", "shpss_", "lin_api_", "atatt3", "aws"),
    *("whsec_", "ya29.", "gocspx-", "pmak-", "nrak-", "gsk_", "pplx-", "xai-", "age-secret-key-"),
)
_SHAPES = re.compile(
    r"\bgl[a-z]{2,6}-|-us\d|AC[a-z0-9]{32}|SK[a-z0-9]{32}|[MNO][\w-]{23,25}\.|\d{8}:[\w-]{35}", re.ASCII
)
_OWN = tuple(
    re.compile(rf"(?<![A-Za-z0-9]){pattern}", re.ASCII)
    for pattern in (
        r"hf_[A-Za-z0-9]{30,40}\b",
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b",
        r"gh[pousr]_[A-Za-z0-9]{36,40}\b",
        r"sk-(?:proj-|svcacct-|or-v\d-|ant-[a-z]+\d*-)[\w-]{32,200}",
        r"sk-[A-Za-z0-9]{40,64}(?![\w-])",
        # As the library's, but bounded: that one takes minutes for a row of "sk-sk-sk-".
        r"sk-[\w-]{0,100}[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
        r"AIza[\w-]{35}(?![\w-])",
        r"eyJ[\w-]{10,}\.eyJ[\w-]{4,}\.[\w-]{16,}",
        r"dop_v1_[0-9a-f]{64}\b",
        r"npm_[A-Za-z0-9]{36}\b",
        r"xox[abeprs]-\d+-[\w-]{10,}",
        r"xapp-\d-[\w-]{30,}",
        r"\d{8,10}:AA[\w-]{33}(?![\w-])",
        r"https://hooks\.slack\.com/services/[\w/]{30,}",
        r"(?:hvs\.|ya29\.|GOCSPX-|dckr_pat_|ATATT3|PMAK-|pplx-|xai-)[\w-]{24,250}",
        r"(?:shp(?:at|ca|pa|ss)_|lin_api_|whsec_|gsk_|NRAK-|[rs]k_(?:live|test|prod)_)[A-Za-z0-9]{20,100}\b",
        r"AGE-SECRET-KEY-1[A-Z0-9]{58}\b",
    )
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:.{0,20000}?-----END (?P=kind)-----|[A-Za-z0-9+/=\s\\]{0,20000})",
    re.DOTALL,
)
_IN_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s:/?#@]{0,64}:(?P<value>[^\s/?#@]{6,128})@(?=[\w\[])", re.IGNORECASE)


def find_secrets(text: str) -> Iterator[Span]:
    """Finds credentials: by their form, in addresses, and by the words that announce them.

    Missed are passwords made of words, and values that neither a form nor a word gives away.
    """
    known = list(_known(text))
    yield from known
    # A token of known form ends where it ends, whatever stands behind it.
    yield from (span for span in find_announced(text) if not any(span.overlaps(other) for other in known))


def _known(text: str) -> Iterator[Span]:
    lowered = text.lower()
    if any(mark in lowered for mark in _MARKS) or _SHAPES.search(text):
        for pattern in (*_OWN, *_vendors()):
            for found in pattern.finditer(text):
                if _stands_alone(text, found) and not is_placeholder(found[0]):
                    yield Span(*found.span(), "secret")
        for found in _PRIVATE_KEY.finditer(text):
            yield Span(found.start(), found.start() + len(found[0].rstrip()), "secret")
    if "://" in text:
        for found in _IN_URL.finditer(text):
            if is_mixed(found["value"]):
                yield Span(*found.span("value"), "secret")


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
    beside = text[max(0, found.start() - 1) : found.start()] + text[found.end() : found.end() + 1]
    return not any(character.isascii() and (character.isalnum() or character in "+/") for character in beside)
