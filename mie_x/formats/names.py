"""Names of files made of identities, which may hold anything printable."""

from __future__ import annotations

import re

LONGEST = 120  # characters: folders of such names still fit into every file system's paths

_PLAIN = re.compile(r"[A-Za-z0-9_-]")


def file_name(identity: str) -> str:
    """IDENTITY in letters, digits, ``_`` and ``-``; other bytes of its UTF-8 form are ``%XX``.

    Without dots, which end a sample's name in WebDataset, and blanks, which end a path in the
    lists of MiE-X. Different identities have different names.

    >>> file_name("Jo Ann.2")
    'Jo%20Ann%2E2'
    """
    return "".join(
        letter if _PLAIN.match(letter) else "".join(f"%{byte:02X}" for byte in letter.encode())
        for letter in identity
    )


def clash(identities: list[str]) -> str | None:
    """What keeps IDENTITIES from being folders side by side on every file system, or None."""
    seen: dict[str, str] = {}
    for identity in identities:
        name = file_name(identity)
        if len(name) > LONGEST:
            return f"identity {identity[:40]!r}... is too long for the name of a folder"
        other = seen.setdefault(name.casefold(), identity)
        if other != identity:
            return f"identities {other!r} and {identity!r} differ in case alone"
    return None
