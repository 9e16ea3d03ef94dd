"""Text from outside in the cells of a table: a spreadsheet that opens it shows it, runs nothing."""

from __future__ import annotations

_FORMULA = tuple("=+-@\t\r'")  # what begins one, and the prefix itself, so that it can be taken off


def inert(text: str) -> str:
    """TEXT with an apostrophe before what a spreadsheet would run, or take for that apostrophe.

    >>> inert("=1+1"), inert("'tis"), inert("006_1")
    ("'=1+1", "''tis", '006_1')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_it_was(text: str) -> str:
    """TEXT before ``inert``.

    >>> as_it_was("'=1+1"), as_it_was("''tis"), as_it_was("006_1")
    ('=1+1', "'tis", '006_1')
    """
    return text.removeprefix("'")
