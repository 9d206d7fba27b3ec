"""What commands share: models and runs by what a user types, rows, studies and noise as text."""
