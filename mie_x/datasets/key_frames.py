"""Onset, apex and offset out of the cells of a label sheet, and what was wrong with them.

The sheets hold ``/``, -1, 0, nothing, and numbers that cannot be. What is mended is told; nothing
is mended by row number, since sheets are sorted and cut by those who hand them on. Rules:

- an onset that began before the recording (0, where the collection says so) is the first frame;
- an offset that is missing, or lies before the onset, is the apex ("use the apex": Liong et al.'s
  MEAN on CAS(ME)^2), or the last frame where the apex is missing too and the footage ends there;
- an apex that is missing, or outside onset .. offset, is the middle frame of both, rounded down, or
  the frame next to it that is there: not an apex, so ``apex_from`` says "middle". Where the whole
  collection has none (SMIC), that is no repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

UNKNOWN = ("", "/", "-", "-1", "nan", "null", "none", "?")


@dataclass(slots=True)
class KeyFrames:
    """Frame numbers, onset <= apex <= offset, and the tale of them: see ``mie_x.records.Clip``."""

    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    apex_from: str = "coded"
    repaired: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    problem: str = ""


def number(cell: str, *, zero: bool = True) -> int | None:
    """A cell as a frame number; None where it is unknown, or 0 and not ZERO.

    ValueError on anything else.

    >>> number("00562"), number("46.0"), number("/"), number("0", zero=False)
    (562, 46, None, None)
    """
    if cell.strip().lower() in UNKNOWN:
        return None
    value = float(cell)  # a number may be stored as text, with a point or padded
    if not value.is_integer() or abs(value) > 1e9:
        raise ValueError(f"{cell!r} is no frame number")
    return int(value) if value or zero else None


def key_frames(
    onset: str,
    apex: str | None,
    offset: str,
    numbers: Sequence[int] = (),
    *,
    zero: bool = False,
    before_recording: bool = False,
    long: bool = False,
    apex_from: str = "coded",
) -> KeyFrames:
    """Read the three cells; NUMBERS are the frames that are there, ascending.

    APEX is None where the collection does not annotate it. ZERO: whether 0 is a frame.
    BEFORE_RECORDING: whether an onset of 0 began before the first one. LONG: whether NUMBERS go on
    after the clip, so that their last is nobody's offset. APEX_FROM: how an apex that is told was
    set.
    """
    found = KeyFrames(apex_from=apex_from)
    try:
        found.onset = number(onset, zero=zero)
        coded_apex, coded_offset = number(apex or "", zero=zero), number(offset, zero=zero)
    except ValueError:
        found.problem = f"onset {onset!r}, apex {apex!r}, offset {offset!r}: not frame numbers"
        return found
    if found.onset is None:
        before = before_recording and onset.strip() == "0"
        if not before or not len(numbers):
            found.problem = "no frames" if before else f"its onset is not annotated ({onset!r})"
            return found
        found.onset = numbers[0]
        found.repaired.append(f"onset 0, before the recording: its first frame {numbers[0]} taken")
    found.offset = _offset(found, coded_apex, coded_offset, offset, () if long else numbers)
    if found.offset is None:
        found.problem = f"its offset is not annotated ({offset!r}), nor its apex ({apex!r})"
        return found
    found.apex = _apex(found, coded_apex, apex, numbers)
    _look_at(found, numbers)
    return found


def _offset(
    found: KeyFrames, apex: int | None, offset: int | None, cell: str, numbers: Sequence[int]
) -> int | None:
    assert found.onset is not None
    if offset is not None and offset >= found.onset:
        return offset
    why = "not annotated" if offset is None else f"before the onset {found.onset}"
    if apex is not None and apex >= found.onset:
        found.repaired.append(f"offset {cell!r} is {why}: its apex {apex} taken")
        return apex
    if len(numbers) and numbers[-1] >= found.onset:
        found.repaired.append(f"offset {cell!r} is {why}: the last frame {numbers[-1]} taken")
        return numbers[-1]
    return None


def _apex(found: KeyFrames, apex: int | None, cell: str | None, numbers: Sequence[int]) -> int:
    assert found.onset is not None and found.offset is not None
    if apex is not None and found.onset <= apex <= found.offset:
        return apex
    middle = (found.onset + found.offset) // 2
    there = [n for n in numbers if found.onset <= n <= found.offset]
    middle = min(there, key=lambda n: abs(n - middle), default=middle)
    found.apex_from = "middle"
    if cell is not None:
        why = "not annotated" if apex is None else f"outside {found.onset} to {found.offset}"
        found.repaired.append(f"apex {cell!r} is {why}: the middle frame {middle} taken")
    return middle


def _look_at(found: KeyFrames, numbers: Sequence[int]) -> None:
    """Say what is strange, and which frames are not there."""
    assert found.onset is not None and found.apex is not None and found.offset is not None
    if found.onset == found.offset:
        found.odd.append("onset and offset are one frame")
    elif found.apex == found.onset:
        found.odd.append("apex and onset are one frame")
    elif found.apex == found.offset and found.apex_from == "coded" and not found.repaired:
        found.odd.append("apex and offset are one frame")
    if not len(numbers):
        found.problem = "no frames"
        return
    there = set(numbers)
    for name in ("onset", "apex"):
        if getattr(found, name) not in there:
            found.problem = f"no frame {getattr(found, name)}, its {name}"
            return
    # counted, not walked through: a digit too many makes an offset of millions
    gaps = found.offset - found.onset + 1 - sum(found.onset <= n <= found.offset for n in there)
    if gaps:
        found.odd.append(f"{gaps} frames missing between onset and offset")
