"""The forms of secrets: tokens and keys of known issuers, and passwords in URLs.

Rows are searched with this table before training, and files before publishing. `hubtune.data.screening.secrets` also
finds secrets that have no known form, by the words before them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenForm:
    """One kind of secret.

    Attributes:
        kind: Its name, with an article, as it is in messages.
        marks: Texts of which each such secret holds at least one, so that most texts need no search by pattern.
        pattern: Matches the secret; when more has to match than the secret, the secret is the group of that name.
        within: Whether a letter or digit may be before the match. (A pattern that looked behind itself would take
            five times as long to search a large file.)
    """

    kind: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    within: bool = False


@dataclass(frozen=True)
class FoundToken:
    """The place of a secret in a text; it does not contain the secret.

    Attributes:
        form: Its form.
        match_start: Where the match of the form begins.
        start: The secret's first character.
        end: The character after its last one.
    """

    form: TokenForm
    match_start: int
    start: int
    end: int


_ALNUM = re.compile(r"[A-Za-z0-9]")


def find_tokens(text: str) -> Iterator[FoundToken]:
    """Yields each secret of known form; one with several forms is yielded several times, the most exact form first."""
    for form in FORMS:
        # A loop, since `any` takes twice as long for a short row, and each row of the data comes here.
        for mark in form.marks:
            if mark in text:
                break
        else:
            continue
        group = "secret" if "secret" in form.pattern.groupindex else 0
        for match in form.pattern.finditer(text):
            if form.within or not _ALNUM.match(text, match.start() - 1 if match.start() else len(text)):
                yield FoundToken(form, match.start(), *match.span(group))


def _form(kind: str, marks: str, pattern: str) -> TokenForm:
    """Returns the form of a token, which is never a part of a longer word."""
    return TokenForm(kind, tuple(marks.split()), re.compile(rf"(?:{pattern})(?![A-Za-z0-9])", re.ASCII))


def _context(kind: str, marks: str, pattern: str) -> TokenForm:
    """Returns the form of a secret that what stands around it gives away."""
    return TokenForm(kind, tuple(marks.split()), re.compile(pattern, re.DOTALL), within=True)


_NOT_IN_ADDRESS = r"\s/@?#\"'<>()\[\]{}"

PRIVATE_KEY = _context(
    # RFC 7468, and RFC 4880 for PGP. A key that is cut off is one, too.
    "a private key",
    "-----BEGIN",
    r"-----BEGIN (?P<label>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:.{0,20000}?-----END (?P=label)-----|[A-Za-z0-9+/=\s\\]{0,20000})",
)
PASSWORD_IN_ADDRESS = _context(
    # RFC 3986, 3.2.1
    "a password in an address",
    "://",
    rf"://[^:{_NOT_IN_ADDRESS}]{{0,64}}:(?P<secret>[^{_NOT_IN_ADDRESS}]{{3,128}})@(?=[\w\[])",
)
# A form without an address here is as in Yelp's detect-secrets, GitHub's secret scanning or the issuer's own client.
# Quantifiers are bounded if a text could otherwise make a search slow.
FORMS: tuple[TokenForm, ...] = (
    # https://huggingface.co/docs/hub/security-tokens
    _form("a Hugging Face token", "hf_ api_org_", r"(?:hf_(?:oauth_)?|api_org_)[A-Za-z0-9]{20,}"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    _form(
        "an AWS access key",
        "AKIA ASIA ABIA ACCA A3T",
        # The rarer prefixes also begin words of capitals, such as those of a DNA sequence.
        r"A(?:KIA|SIA)[A-Z0-9]{16}|(?:A3T[A-Z0-9]|ABIA|ACCA)(?=[A-Z]{0,15}[0-9])[A-Z0-9]{16}",
    ),
    _context(
        "an AWS secret key",
        "secret_access_key SECRET_ACCESS_KEY secretAccessKey",
        r"(?:secret_access_key|SECRET_ACCESS_KEY|secretAccessKey)[\"']?\s{0,8}[:=]\s{0,8}[\"']?"
        r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    ),
    PRIVATE_KEY,
    # https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github
    _form(
        "a GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,}",
    ),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    _form(
        "a GitLab token",
        "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas-",
        r"gl(?:(?:pat|dt|ft|soat|rt|cbt)-[\w-]{20,}|imt-[\w-]{25}|ptt-[\w-]{40}|agent-[\w-]{50,1024}|oas-[\w-]{64})",
    ),
    _form("a GitLab token", "GR1348941", r"GR1348941[\w-]{20,}"),
    # https://docs.slack.dev/authentication/tokens
    _form(
        "a Slack token",
        "xox xapp- hooks.slack",
        r"xox[abeoprs]-(?:\d+-[\w-]{10,}|(?=[A-Za-z-]{0,100}\d)[A-Za-z0-9-]{20,})|xapp-\d-[\w-]{30,}|"
        r"https://hooks\.slack\.com/services/[\w/]{30,}",
    ),
    # https://cloud.google.com/docs/authentication/api-keys
    _form("a Google API key", "AIza", r"AIza[\w-]{35}(?![\w-])"),
    _form("a Google OAuth token", "ya29. GOCSPX-", r"(?:ya29\.|GOCSPX-)[\w-]{24,250}"),
    _form("an Anthropic key", "sk-ant-", r"sk-ant-[a-z]+\d*-[\w-]{20,}"),
    _form(
        "an OpenAI key",
        "T3BlbkFJ sk-proj- sk-svcacct-",
        r"sk-[\w-]{0,200}T3BlbkFJ[\w-]{20,}|sk-(?:proj|svcacct)-[\w-]{32,200}",
    ),
    _form("an OpenRouter key", "sk-or-v", r"sk-or-v\d-[\w-]{32,200}"),
    _form("an API key", "sk-", r"sk-[A-Za-z0-9]{40,64}(?![\w-])"),
    _form("a Groq key", "gsk_", r"gsk_[A-Za-z0-9]{20,100}"),
    _form("a Perplexity key", "pplx-", r"pplx-[A-Za-z0-9]{24,250}"),
    _form("an xAI key", "xai-", r"xai-[A-Za-z0-9]{24,250}"),
    # https://docs.stripe.com/keys
    _form("a Stripe key", "k_live_ k_test_ k_prod_", r"[rs]k_(?:live|test|prod)_[A-Za-z0-9]{20,}"),
    _form("a webhook's secret", "whsec_", r"whsec_[A-Za-z0-9]{20,100}"),
    # https://pypi.org/help/#apitoken: a macaroon, which always begins the same way
    _form("a PyPI token", "pypi-AgE", r"pypi-AgE[\w-]{50,}"),
    # https://docs.npmjs.com/about-access-tokens
    _form("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _form("a Docker Hub token", "dckr_pat_", r"dckr_pat_[\w-]{24,250}"),
    _form("a HashiCorp Vault token", "hvs.", r"hvs\.[\w-]{24,250}"),
    _form("a DigitalOcean token", "dop_v1_", r"dop_v1_[0-9a-f]{64}"),
    _form("an Atlassian token", "ATATT3", r"ATATT3[\w-]{24,250}"),
    _form("a Postman key", "PMAK-", r"PMAK-[\w-]{24,250}"),
    _form("a New Relic key", "NRAK-", r"NRAK-[A-Za-z0-9]{20,100}"),
    _form("a Linear key", "lin_api_", r"lin_api_[A-Za-z0-9]{20,100}"),
    _form("a Shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[A-Za-z0-9]{20,100}"),
    _form("a SendGrid key", "SG.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    _form("a Mailchimp key", "-us", r"[0-9a-z]{32}-us\d{1,2}"),
    _form("a Square secret", "sq0csp-", r"sq0csp-[\w\\-]{43}"),
    _form("a Twilio key", "AC SK", r"(?:AC|SK)[a-z0-9]{32}"),
    _form("a Discord token", "M N O", r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27}"),
    _form("a Telegram token", ":AA", r"\d{8,10}:AA[\w-]{33}(?![\w-])"),
    # https://age-encryption.org/v1
    _form("an age key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    # RFC 7519: both parts are JSON objects, in base64
    _form("a JSON web token", "eyJ", r"eyJ[\w-]{10,}\.eyJ[\w-]{4,}\.[\w-]{10,}"),
    PASSWORD_IN_ADDRESS,
)
"""Every form, the more exact ones first."""
