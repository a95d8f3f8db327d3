"""The sections of the card, in the order in which they stand on it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SectionTitle:
    """One section: the name of its template, and the title that readers see."""

    name: str
    title: str


SECTIONS = (
    SectionTitle("uses", "Intended use and misuse"),
    SectionTitle("usage", "How to use"),
    SectionTitle("training_data", "Training data"),
    SectionTitle("training_procedure", "Training procedure"),
    SectionTitle("evaluation", "Evaluation"),
    SectionTitle("bias", "Bias"),
    SectionTitle("risks", "Risks and limitations"),
    SectionTitle("privacy", "Privacy"),
    SectionTitle("ethics", "Ethics"),
    SectionTitle("environment", "Environmental impact"),
    SectionTitle("licensing", "Licensing"),
    SectionTitle("provenance", "Provenance"),
    SectionTitle("verify", "How to verify"),
    SectionTitle("citation", "Citation"),
    SectionTitle("contact", "Contact"),
)
"""After Mitchell et al., "Model Cards for Model Reporting" (2019), with what a pinned release can say besides."""
