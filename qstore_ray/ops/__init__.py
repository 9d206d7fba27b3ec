"""What one needs to look after runs.

dashboard    one page, on this machine alone, that shows what runs and what has run
"""
