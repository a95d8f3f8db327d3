"""Web pages: Markdown to safe HTML, and the pages of the embedded Hub and of the card preview."""
