"""CSV files: `csv.py` cuts them into ranges of lines, `chunk.py` parses one."""
