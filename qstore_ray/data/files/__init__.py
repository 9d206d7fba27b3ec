"""Opening files that are not trusted: by path or URI, within bounds of memory, no pickles.

listing (which files a path means) · files (one file) · packed, npyfile, cifarfile
"""
