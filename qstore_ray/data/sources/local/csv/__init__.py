"""CSV files: `csv.py` cuts them into ranges of lines, `chunk.py` parses one.

`labels_file.py` reads the labels of the rows of another file.
"""
