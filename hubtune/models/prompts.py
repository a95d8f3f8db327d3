"""The prompts that any two models can be compared on: short beginnings of sentences, of no data set and no person."""

PROMPTS = (
    "The weather today is",
    "Water boils when",
    "Once upon a time there was",
    "The shortest way home leads",
    "To bake bread you need",
    "In winter the birds",
    "A good answer begins with",
    "The museum opens at",
)
