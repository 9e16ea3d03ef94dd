"""Action units as coders write them: ``R4+L10``, ``7B``, ``14or23``, ``A/L12``, ``ref(7B)+43C``.

Collections share no grammar. What all have in common: numbers, with letters of side before them and
of intensity after them. ``action_units`` reads these and leaves the text as it is coded beside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SIDES = {"L": "left", "R": "right", "A": "asymmetric", "T": "top", "B": "bottom"}
INTENSITIES = "ABCDE"  # trace, slight, marked, severe, maximum (FACS)
NOT_CODED = ("", "?", "null", "none", "nan", "/", "0")

_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?P<sides>(?:[LRATB]/?){0,4})\s{0,3}(?P<au>\d{1,2})\s{0,3}"
    r"\(?(?P<letter>[A-E](?:/[A-E])?)?(?![A-Za-z0-9])"
)
_SEPARATOR = re.compile(r"[+,;，、]")  # the full-width comma is in CAS(ME)^3's sheets
_BRACKETS = re.compile(r"\([^()]*\)")  # what stands in them is doubted together
_BEFORE_CODE = re.compile(r"ref|\bAU(?=\s?[LRATB]?\d)")


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One coded unit. ``sides`` are letters of ``SIDES``, ``intensity`` of ``INTENSITIES`` or "".

    ``sure`` is False where the coder gave alternatives (``or``), doubted (``?``) or said that a
    unit was lost or seen before (``ref``, ``loses``).
    """

    au: int
    sides: str = ""
    intensity: str = ""
    sure: bool = True


def action_units(text: str) -> tuple[ActionUnit, ...]:
    """The units of a cell, in its order.

    Of two intensities (``4A/B``) the lower is taken. Codes that are no action units of a face
    vector, 43 (eyes closed) or 56 (head tilt), are among them; words are passed over.

    >>> [(unit.au, unit.sides, unit.intensity) for unit in action_units("R4+7B + L10")]
    [(4, 'R', ''), (7, '', 'B'), (10, 'L', '')]
    >>> [unit.sure for unit in action_units("L12 or L14")]
    [False, False]
    """
    if text.strip().lower() in NOT_CODED:
        return ()
    found = []
    spaced = re.sub(r"\bor\b|(?<=[0-9A-E])or(?=[LRATB0-9])", " or ", text)
    together = _BRACKETS.sub(lambda inside: _SEPARATOR.sub(" ", inside[0]), spaced)
    for part in _SEPARATOR.split(together):
        doubted = bool(re.search(r"\bor\b|\?|ref|lose", part))
        for code in _CODE.finditer(_BEFORE_CODE.sub(" ", part)):
            if not 1 <= int(code["au"]) <= 80:
                continue
            letter = (code["letter"] or "")[:1]
            sides = code["sides"].replace("/", "")
            found.append(ActionUnit(int(code["au"]), sides, letter, not doubted))
    return tuple(found)
