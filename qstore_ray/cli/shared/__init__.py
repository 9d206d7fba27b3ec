"""What several commands need: models and runs by what a user types, rows, studies as text."""
