"""The Hugging Face hub: begin with `adapter.py`.

hub      revisions and files
layout   which file belongs to which split
rows     Parquet shards as arrays
stream   calls with retries and one deadline
"""
