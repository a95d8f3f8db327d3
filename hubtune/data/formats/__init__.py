"""How a row of each format becomes model input: text in segments, or text with its classes."""
