"""How base and tuned model treat groups of people: on templates, on pairs of sentences, and in what they write."""
