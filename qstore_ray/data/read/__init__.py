"""`Dataset`: train, val and test as read plans, equal rows in this process and on Ray.

plan → dataset (schema) · ray_reader · merge (val into train)
saved, manifest, row_groups   on disk
size, fit                     whether rows are held or streamed, and preparation fitted on either
"""
