"""How a row of each format becomes what the model sees: as text in segments, or as a text with its classes."""
