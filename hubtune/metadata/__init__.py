"""A card's front matter: reading it as the Hub does, and the Hub's rules about it."""
