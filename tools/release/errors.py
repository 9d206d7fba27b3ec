"""The one error of this tool: a release that must not go on, with what to type instead."""


class ReleaseError(Exception):
    """The message is printed as it is, and nothing in the checkout has changed."""
