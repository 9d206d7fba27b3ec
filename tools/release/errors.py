"""The one error of this tool: a release that must not go on, with what to type instead."""


class ReleaseError(Exception):
    """The message is printed as it is; what was typed can be typed again."""
