"""What a model gives away of the rows it was trained on: whole suffixes, planted secrets, personal data."""
