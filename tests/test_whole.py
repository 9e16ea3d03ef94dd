"""What is there is whole, whoever writes beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from mie_x.whole import whole


def test_of_two_who_write_one_file_neither_takes_what_the_other_has_begun(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with whole(path) as late:
        late.write_bytes(b"half of")
        with whole(path) as early:
            assert not early.exists()
            early.write_bytes(b"the early one")
        assert path.read_bytes() == b"the early one"
        late.write_bytes(b"the late one")
    assert path.read_bytes() == b"the late one"
    assert list(tmp_path.iterdir()) == [path]


def test_who_fails_leaves_nothing_and_takes_nothing_away(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with whole(path) as other:
        other.write_bytes(b"whole")
        with pytest.raises(KeyboardInterrupt), whole(path) as own:
            own.write_bytes(b"ha")
            assert own.suffix == ".partial"  # by which what is left over is swept
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == [other]
    assert path.read_bytes() == b"whole"


def test_what_cannot_have_its_name_is_not_left_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError), whole(tmp_path / "a") as unfinished:
        unfinished.write_bytes(b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
