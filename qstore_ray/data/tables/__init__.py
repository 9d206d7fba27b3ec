"""Tables of any format: which columns are read, and what they mean.

    request             what was asked for
    header, index       the first line; columns of row numbers
    kinds, notation, texts   what the columns are, decided once from all rows
    choose              features, label, columns left out
    rows, arrow         a table as arrays

Begin with `request.py` and `rows.py`.
"""
