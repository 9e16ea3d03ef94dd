"""Text from outside in Markdown: what cells, names and errors say is shown, and does nothing."""

from __future__ import annotations

from collections.abc import Sequence


def plain(text: str) -> str:
    """TEXT from outside on one line, without what Markdown or a browser would take for more.

    >>> plain("CC BY 4.0 <script>")
    'CC BY 4.0 &lt;script&gt;'
    """
    for letter, shown in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'")):
        text = text.replace(letter, shown)
    return " ".join(text.replace("![", "[").split())


def table(rows: Sequence[Sequence[str]]) -> str:
    """ROWS, the first of them the head; cells are plain text.

    >>> print(table([["a", "b"], ["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
