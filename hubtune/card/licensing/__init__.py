"""From the licences of the inputs to the licence of the release: the table, the decision, and what it asks for."""
