"""One number from 0 to 100 for the state of the code, made of named parts: `make score`.

    parts       what is measured, each from 0 to 1 and divided by the size of the package
    duplicates  lines that stand in the package twice
    history     `history.jsonl`: the parts of each commit that was measured
    page        docs/quality.md and its figure

The number only orders work: it says where the most is lost, and whether a month has made it better.
It is no gate. The ratchet is one.
"""
