"""Raw rows and labels as checked arrays; which of them take part."""
