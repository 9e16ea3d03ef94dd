"""Text from outside in tables that spreadsheets open: no cell is a formula, and none is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.cells import as_it_was, inert


@given(st.text("=+-@\t\r' a1"))
def test_no_text_is_a_formula_and_every_text_comes_back(text: str) -> None:
    assert not inert(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert as_it_was(inert(text)) == text


@pytest.mark.parametrize("text", ["", "006_1", "4+12", "a=b", " =1"])
def test_text_that_is_none_stays_as_it_is(text: str) -> None:
    assert inert(text) == text
