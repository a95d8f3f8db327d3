"""From the licenses of the inputs to the license of the release: the table, the decision, and the legal files."""
