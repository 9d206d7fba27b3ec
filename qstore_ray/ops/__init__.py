"""Operations: what is wrong with the runs of a folder, and what they have used.

alerts.py    the log of alerts that is written and read
"""
