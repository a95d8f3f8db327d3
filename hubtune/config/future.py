"""Config that hubtune's documentation announces and this version cannot do yet.

Such a field is refused with that reason, which differs from a misspelt key.
"""

FUTURE_KEYS = frozenset(
    {
        "base.tokenizer",
        "publish.policy",
    }
)
