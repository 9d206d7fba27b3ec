"""Opening files that are not trusted: by path or URI, within bounds of memory, no pickles."""
