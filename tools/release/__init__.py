"""Releases: `make release`, `make publish`, `make rollback`; docs/releasing.md is their guide.

Nothing changes in the checkout before everything has passed: the release commit is made in a
worktree of its own, built twice, tried in bare environments and signed. Only then the branch moves
to it and the tag is set. Begin with `cut.py` and `rollback.py`; the other files are their steps:

    project     what pyproject.toml says of releases, and the one place of the version
    changelog   sections of CHANGELOG.md: pure functions on its text
    repository  the calls of git
    lock        one release at a time, and repair of what a killed one left
    numbers     which versions may be released next
    build       sdist and wheel, bit for bit the same in any folder at any time
    contents    no file of the package is missing in what was built
    bare        the wheel in environments that have nothing else, on every Python of this machine
    bare_check  what is tried there, run by the Python of that environment
    signing     checksums, and their signature by an SSH key
    notes       the text for the page of a release on a code host
    index       a package index in a folder, served by any web server; withdrawn versions
    publish     to such a folder, or by upload
    steps       what is printed: each step with its seconds
"""
