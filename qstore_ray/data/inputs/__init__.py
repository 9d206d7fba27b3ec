"""Rows that a trained model is given, after training: by column name, in any format.

frame, values   tables in memory of any library, as raw rows
signature       what a model takes; kept with the model
unlabelled      files to predict on (table_rows: those with columns)
labelled        rows with labels to score on, as a dataset
"""
