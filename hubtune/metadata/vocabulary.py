"""The words that the Hub knows in a card's metadata, besides licences."""

import re

PIPELINE_TAGS = frozenset(
    {
        "any-to-any", "audio-classification", "audio-text-to-text", "audio-to-audio", "automatic-speech-recognition",
        "depth-estimation", "document-question-answering", "feature-extraction", "fill-mask", "graph-ml",
        "image-classification", "image-feature-extraction", "image-segmentation", "image-text-to-image",
        "image-text-to-text", "image-text-to-video", "image-to-3d", "image-to-image", "image-to-text", "image-to-video",
        "keypoint-detection", "mask-generation", "multiple-choice", "object-detection", "other", "question-answering",
        "reinforcement-learning", "robotics", "sentence-similarity", "summarization", "table-question-answering",
        "table-to-text", "tabular-classification", "tabular-regression", "tabular-to-text", "text-classification",
        "text-generation", "text-ranking", "text-retrieval", "text-to-3d", "text-to-audio", "text-to-image",
        "text-to-speech", "text-to-video", "time-series-forecasting", "token-classification", "translation",
        "unconditional-image-generation", "video-classification", "video-text-to-text", "video-to-video",
        "visual-document-retrieval", "visual-question-answering", "voice-activity-detection",
        "zero-shot-classification", "zero-shot-image-classification", "zero-shot-object-detection",
    }
)  # fmt: skip
"""The tasks under which models and data sets are filed."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_SPECIAL = frozenset({"code", "multilingual", "no", "zxx"})


def is_language(code: str) -> bool:
    """Says whether a text has the form of a language code, or is one of the Hub's special values.

    The three-letter codes are some eight thousand, so only their form is checked.
    """
    return code in _SPECIAL or _LANGUAGE.fullmatch(code) is not None
