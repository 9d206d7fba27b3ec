"""What the table of advice measures: trainings of candidates, their memory, classical rivals."""
