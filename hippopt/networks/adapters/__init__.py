"""Low-rank factors of a network's weights: one module for each maker of them, named in the table of
artifacts/methods.py.

A module defines the class `Maker`, an `Adapter` (protocol.py). A new way to fine-tune that needs a maker of its own is
one such file and one line in that table.
"""
