"""The Hub's pages for people: what they show is gathered here, how they look is for the renderer."""
