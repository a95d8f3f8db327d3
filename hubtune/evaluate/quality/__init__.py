"""How well the models foresee text and write it: perplexity, overlap with references, answers, endings, samples."""
