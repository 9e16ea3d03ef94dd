"""Action units as coders of different collections write them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.datasets.facs import INTENSITIES, SIDES, ActionUnit, action_units


def written(text: str) -> str:
    """TEXT as it was understood: side, number, intensity, and ? for what is not sure."""
    return " ".join(
        f"{unit.sides}{unit.au}{unit.intensity}{'' if unit.sure else '?'}"
        for unit in action_units(text)
    )


CELLS = {
    # CASME II
    "12": "12",
    "4+7+L10": "4 7 L10",
    "R4+R10": "R4 R10",
    "4+9+L10+14": "4 9 L10 14",
    "?": "",
    # SAMM
    "7B": "7B",
    "4A/B": "4A",
    "4A/B+10A/B": "4A 10A",
    "L12": "L12",
    "R2": "R2",
    "A9+12": "A9 12",
    "A/L12": "AL12",
    "T18": "T18",
    "B18": "B18",
    "R12B+L12A": "R12B L12A",
    "L12 or L14": "L12? L14?",
    "R14A or 17A or 24A": "R14A? 17A? 24A?",
    "(R6 or R12)+R15": "R6? R12? R15",
    "ref(7B)+43C": "7B? 43C",
    "ref7B": "7B?",
    "4 + 7": "4 7",
    " 4+  7 ": "4 7",
    "R14+17+soft focus": "R14 17",
    "43+56+61": "43 56 61",
    # SAMM Long Videos
    "4+glare": "4",
    "Chewing": "",
    "(loses 1+2) or (4(B/C))": "1? 2? 4B?",
    "(loses 1+2)+4": "1? 2? 4",
    "(1+2) or 4": "1? 2? 4?",
    # CAS(ME)^2
    "NULL": "",
    "null": "",
    "4+10": "4 10",
    "4,24,6+12+15": "4 24 6 12 15",
    "14or23": "14? 23?",
    "10or11": "10? 11?",
    "L1+L2": "L1 L2",
    # CAS(ME)^3 and its part C
    "4，7": "4 7",
    "4,7，L12": "4 7 L12",
    "4、7": "4 7",
    # 4DME
    "12(k)": "12",
    "1(k)+2": "1 2",
    # and what is in exports and tables of labs
    "": "",
    "0": "",
    "/": "",
    "nan": "",
    "4.0": "4",
    "12?": "12?",
    "AU4+AU12B": "4 12B",
    "AU 6 + AUL12": "6 L12",
    "99+12": "12",
    "112": "",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_understood(cell: str) -> None:
    assert written(cell) == CELLS[cell]


def test_a_unit_is_sure_without_sides_and_intensity_unless_the_coder_says_otherwise() -> None:
    assert action_units("4") == (ActionUnit(4),)
    assert action_units("ref(L7B)") == (ActionUnit(7, "L", "B", sure=False),)


@given(
    st.lists(
        st.builds(
            ActionUnit,
            st.integers(1, 80),
            st.sampled_from(["", *SIDES, "LR", "AL"]),
            st.sampled_from(["", *INTENSITIES]),
        ),
        min_size=1,
    ),
    st.sampled_from(["+", " + ", ",", ", ", "，", "、", ";"]),
)
def test_what_is_written_plainly_is_read_back(units: list[ActionUnit], between: str) -> None:
    text = between.join(f"{unit.sides}{unit.au}{unit.intensity}" for unit in units)
    assert action_units(text) == tuple(units)


@given(st.text() | st.text("0123456789LRATBCDE/+,，?() orefls"))
def test_no_text_is_too_strange(text: str) -> None:
    for unit in action_units(text):
        assert 1 <= unit.au <= 80
        assert set(unit.sides) <= set(SIDES)
        assert unit.intensity in ("", *INTENSITIES)


@pytest.mark.parametrize(
    "piece", ["L/", "4(", "4+", "(", "+", "A/B", " ", "4 or ", "1", "AU", "ref"]
)
def test_a_cell_of_a_hundred_thousand_letters_takes_no_time(piece: str) -> None:
    started = time.perf_counter()
    action_units(piece * (100_000 // len(piece)))
    assert time.perf_counter() - started < 2
