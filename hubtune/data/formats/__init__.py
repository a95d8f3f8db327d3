"""How a row of each format becomes what the model sees: as text in pieces, or as a text with its classes."""
