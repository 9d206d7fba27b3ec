"""Review of code: rules that read Python without running it. Begin with `rules/`."""
