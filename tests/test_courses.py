"""What MEAN sees of a recording: the recipe of its clips, frame by frame, through one alignment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed
from PIL import Image

from mie_x import flow
from mie_x.datasets.footage import Unreadable
from mie_x.faces.aligned import Alignment, aligned, find_alignment
from mie_x.records import Frames
from pipelines.courses import PART, Course, Look, NoFace, Part, course, pair, stream
from pipelines.recordings import Recording, of_path
from pipelines.views import FORMS, Recipe
from tests.test_aligned import FACE, HEIGHT, OTHER, WIDTH, scene
from tests.test_examples import Counted, film
from tests.test_footage import record

QUICK = Look("farneback")
SMILE = film(7, 12, (0, 0, 0.2, 0.5, 0.4, 0.1))
BLANK = np.full_like(SMILE[0], 90)
FPS, STEP = 10, 2


def filmed(path: Path, frames: Sequence[Frames], *, fps: float = FPS) -> Recording:
    return of_path(record(path, frames), fps=fps)


def looked_at(recording: Recording, look: Look = QUICK, *, step: int = STEP) -> Course:
    return course(recording, look, step=step, store=None, workers=1)


def alike(one: Course, other: Course) -> bool:
    names = ("maps", "strength", "seen")
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return same and one.odd == other.odd


@pytest.fixture(scope="module")
def smile(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Two of a smile's, 12 frames: look, do not touch."""
    return filmed(tmp_path_factory.mktemp("smile") / "smile.mkv", [*SMILE, *SMILE[::-1]])


# -- what is seen --------------------------------------------------------------------------------


def by_hand(
    first: Frames, second: Frames, alignment: Alignment, kind: str = QUICK.flow
) -> flow.Maps:
    moved = flow.FLOWS[kind](*flow.gray(aligned([first, second], alignment)))
    maps: flow.Maps = FORMS["mean_roi"].make(moved, Recipe(kind))
    return maps


def test_every_row_is_what_mean_sees_of_a_clip_from_that_frame_to_the_step_after_it(
    smile: Recording,
) -> None:
    seen = looked_at(smile)
    assert seen.maps.shape == (10, 3, 42, 42)
    assert [array.dtype.name for array in seen[:3]] == ["float16", "float32", "bool"]
    frames = [*SMILE, *SMILE[::-1]]
    alignment = find_alignment(frames[0])
    for row in range(10):
        wanted = by_hand(frames[row], frames[row + STEP], alignment)
        np.testing.assert_array_equal(seen.maps[row], wanted.astype(np.float16))
    assert seen.seen.all()
    assert seen.odd == ()


def test_the_kind_of_flow_is_the_looks(smile: Recording, tmp_path: Path) -> None:
    frames = [SMILE[0], SMILE[3], SMILE[0]]
    seen = looked_at(filmed(tmp_path / "c.mkv", frames), Look("tvl1"), step=1)
    wanted = by_hand(frames[0], frames[1], find_alignment(frames[0]), "tvl1")
    np.testing.assert_array_equal(seen.maps[0], wanted.astype(np.float16))


def test_strength_is_how_far_brows_eyes_and_mouth_move_in_px_of_128(tmp_path: Path) -> None:
    """Three frames at rest, then 2 px to the right each."""
    lefts = [60, 60, 60, 62, 64, 66]
    frames = [scene((FACE, 200, left, 50)) for left in lefts]
    strength = looked_at(filmed(tmp_path / "c.mkv", frames), step=1).strength
    assert strength[:2].max() < 1e-4
    a, _, _, d, *_ = find_alignment(frames[0]).matrix
    assert strength[2:] == pytest.approx(2 * np.hypot(a, d), rel=0.1)


# -- where the face is ---------------------------------------------------------------------------


def test_found_anew_the_face_is_the_firsts_in_each_pair(tmp_path: Path) -> None:
    """A head at three places, a second at each: pairs across see both frames from the first's."""
    lefts = np.repeat([60, 80, 100], FPS)
    frames = [scene((FACE, 200, left, 50)) for left in lefts.tolist()]
    recording = filmed(tmp_path / "c.mkv", frames)
    seen = looked_at(recording, Look("farneback", face_every=1))
    assert seen.odd == ()
    for row in (0, 8, 9, 10, 19, 20, 27):
        alignment = find_alignment(frames[row // FPS * FPS])
        wanted = by_hand(frames[row], frames[row + STEP], alignment)
        np.testing.assert_array_equal(seen.maps[row], wanted.astype(np.float16), str(row))
    moving = {row for row in range(28) if seen.strength[row] > 1}
    assert moving == {8, 9, 18, 19}
    once = looked_at(recording, QUICK)
    np.testing.assert_array_equal(once.maps[:10], seen.maps[:10])
    alignment = find_alignment(frames[0])
    wanted = by_hand(frames[20], frames[22], alignment)
    np.testing.assert_array_equal(once.maps[20], wanted.astype(np.float16))


def test_a_segment_may_be_shorter_than_the_step(tmp_path: Path) -> None:
    frames = [SMILE[0], SMILE[1], SMILE[3], SMILE[2], SMILE[5]]
    seen = looked_at(filmed(tmp_path / "c.mkv", frames), Look("farneback", face_every=0.1), step=3)
    for row in (0, 1):
        wanted = by_hand(frames[row], frames[row + 3], find_alignment(frames[row]))
        np.testing.assert_array_equal(seen.maps[row], wanted.astype(np.float16))


def test_a_pair_of_any_two_frames_is_seen_as_the_course_sees_the_first(tmp_path: Path) -> None:
    """Segments of half a second; the second has no face before its end."""
    frames = [SMILE[0], *SMILE[:4], *[BLANK] * 5, *SMILE[:5]]
    recording = filmed(tmp_path / "c.mkv", frames)
    look = Look("farneback", face_every=0.5)
    rows = looked_at(recording, look).maps
    for row in (1, 11):
        np.testing.assert_array_equal(pair(recording, look, row, row + STEP), rows[row])
    wanted = by_hand(frames[10], frames[14], find_alignment(frames[10]))
    np.testing.assert_array_equal(pair(recording, look, 10, 14), wanted.astype(np.float16))
    with pytest.raises(NoFace, match=r"c\.mkv: no face about frame 8"):
        pair(recording, look, 7, 9)


def test_frames_without_a_face_are_not_seen_and_it_is_looked_for_each_second(
    tmp_path: Path,
) -> None:
    """10 frames a second, a segment 30: lost from 1 to 3 and from 31 on; found again by a second.

    Position 0 to 11 is blank, so the looks at 0 and 10 find nobody and that at 20 does; the next
    segment begins with a face, which its frames 35 to 44 then lack without being looked for.
    """
    frames = [BLANK] * 12 + [SMILE[0]] * 23 + [BLANK] * 10
    seen = looked_at(filmed(tmp_path / "c.mkv", frames), Look("farneback", face_every=3))
    assert np.flatnonzero(~seen.seen).tolist() == list(range(20))
    assert not seen.maps[:20].any()
    assert not seen.strength[:20].any()
    assert seen.odd == ("frames 1 to 20: no face",)


def test_a_face_that_goes_away_is_lost_from_the_next_look_on(tmp_path: Path) -> None:
    frames = [SMILE[0]] * 15 + [BLANK] * 15 + [SMILE[0]] * 5
    seen = looked_at(filmed(tmp_path / "c.mkv", frames), Look("farneback", face_every=1))
    assert np.flatnonzero(~seen.seen).tolist() == list(range(20, 30))
    assert seen.odd == ("frames 21 to 30: no face",)


def test_without_a_face_in_the_first_frame_the_published_way_has_nothing_to_see(
    tmp_path: Path,
) -> None:
    recording = filmed(tmp_path / "late.mkv", [BLANK] + [SMILE[0]] * 9)
    with pytest.raises(ValueError, match=r"late\.mkv: no face in its first frame .*--face-every"):
        looked_at(recording)
    found = looked_at(recording, Look("farneback", face_every=0.5))
    assert found.seen.tolist() == [False] * 5 + [True] * 3


def test_a_film_without_any_face_says_so_with_the_remedy(tmp_path: Path) -> None:
    recording = filmed(tmp_path / "none.mkv", [BLANK] * 12)
    with pytest.raises(ValueError, match=r"none\.mkv: no face in it, looked for .* from in front"):
        looked_at(recording, Look("farneback", face_every=3))


def test_of_two_faces_the_largest_is_followed_and_the_other_told(tmp_path: Path) -> None:
    both = scene((OTHER, 110, 10, 20), (FACE, 200, 180, 60))
    blinded = scene((FACE, 200, 180, 60))
    recording = filmed(tmp_path / "c.mkv", [both] * 5)
    once = looked_at(recording)
    assert once.odd == ("2 faces on frame 1: the largest is followed",)
    again = filmed(tmp_path / "d.mkv", [blinded] * 2 + [both] * 3)
    seen = looked_at(again, Look("farneback", face_every=0.2))
    assert seen.odd == (
        "2 faces on frame 3: the largest is followed (more than one on 2 of 3 looks)",
    )


# -- what cannot be seen -------------------------------------------------------------------------


def test_a_film_too_short_for_its_step_is_refused(tmp_path: Path) -> None:
    recording = filmed(tmp_path / "c.mkv", SMILE[:4])
    assert len(looked_at(recording, step=2).maps) == 2
    with pytest.raises(ValueError, match=r"c\.mkv: 4 frames are too few .* give at least 5"):
        looked_at(recording, step=3)
    with pytest.raises(ValueError, match="a step of 0 frames; give 1 or more"):
        looked_at(recording, step=0)


def pictures(folder: Path, frames: Sequence[Frames]) -> Recording:
    folder.mkdir()
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / f"{number}.png")
    return of_path(folder, fps=FPS)


@pytest.mark.parametrize("workers", [1, 2])
def test_frames_of_another_size_and_damaged_ones_are_named(tmp_path: Path, workers: int) -> None:
    grows = pictures(tmp_path / "grows", [*SMILE[:4], scene((FACE, 200, 90, 50))])
    with pytest.raises(
        ValueError,
        match=rf"grows: frame 5 is {WIDTH} x {HEIGHT} px, those before it 320 x 240; cut the reco",
    ):
        course(grows, QUICK, step=STEP, store=None, workers=workers)
    torn = pictures(tmp_path / "torn", SMILE[:5])
    path = tmp_path / "torn" / "4.png"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(Unreadable, match=r"torn/4\.png: "):
        course(torn, QUICK, step=STEP, store=None, workers=workers)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ({"flow": "horn"}, "no flow 'horn'; there are tvl1, tvl1-opencv, farneback"),
        ({"face_every": 0}, "a face every 0 seconds; give more than 0"),
        ({"face_every": float("nan")}, "a face every nan seconds"),
    ],
)
def test_a_look_that_cannot_be_is_refused(look: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Look(**look)  # type: ignore[arg-type]


# -- in parts, in processes, kept ----------------------------------------------------------------


def test_parts_come_while_frames_are_read(tmp_path: Path) -> None:
    """The last picture is damaged: all rows but the last five are there before it is met."""
    pictures(tmp_path / "c", [SMILE[0]])
    last = PART + STEP + 5
    for number in range(2, last):
        shutil.copy(tmp_path / "c" / "1.png", tmp_path / "c" / f"{number}.png")
    (tmp_path / "c" / f"{last}.png").write_bytes(b"torn")
    parts: list[Part] = []
    with pytest.raises(Unreadable, match=rf"c/{last}\.png"):
        parts.extend(stream(of_path(tmp_path / "c", fps=200), QUICK, step=STEP, workers=1))
    assert [(part.first, len(part.maps), part.odd) for part in parts] == [(0, PART, ())]


def test_processes_the_store_and_the_stream_give_the_same_bytes(
    smile: Recording, tmp_path: Path
) -> None:
    look = Look("farneback", face_every=0.5)
    alone = looked_at(smile, look)
    told = Counted()
    kept = course(smile, look, step=STEP, store=tmp_path / "store", workers=2, progress=told)
    assert alike(alone, kept)
    assert told.calls[-1] == (12, 12)
    # a training is joblib's in between, by processes of its own
    assert Parallel(n_jobs=2)(delayed(abs)(n) for n in (-1, 1)) == [1, 1]
    (part,) = stream(smile, look, step=STEP, workers=2)
    assert alike(alone, Course(part.maps, part.strength, part.seen, part.odd))


def test_what_was_kept_is_not_computed_again_and_is_not_written_to(
    smile: Recording, tmp_path: Path
) -> None:
    store = tmp_path / "deep" / "store"
    first = course(smile, QUICK, step=STEP, store=store, workers=1)
    (folder,) = store.iterdir()
    (folder / "seen.npy").write_bytes((folder / "seen.npy").read_bytes()[:-1] + b"\0")
    told = Counted()
    again = course(smile, QUICK, step=STEP, store=store, workers=1, progress=told)
    assert again.seen.tolist() == [True] * 9 + [False]  # read, not made
    assert told.calls == [(12, 12)]
    assert isinstance(again.maps, np.memmap)
    assert not again.maps.flags.writeable
    np.testing.assert_array_equal(again.maps, first.maps)
    about = json.loads((folder / "told.json").read_text())
    assert (about["recording"], about["step"]) == ("smile.mkv", STEP)
    assert about["look"] == {"flow": "farneback", "face_every": None}


@pytest.mark.parametrize("left", [0, 40])
@pytest.mark.parametrize("name", ["maps.npy", "strength.npy", "seen.npy", "told.json"])
def test_what_was_kept_and_is_damaged_is_named_with_the_remedy(
    smile: Recording, tmp_path: Path, name: str, left: int
) -> None:
    course(smile, QUICK, step=STEP, store=tmp_path, workers=1)
    (folder,) = tmp_path.iterdir()
    (folder / name).write_bytes((folder / name).read_bytes()[:left])
    with pytest.raises(ValueError, match=f"^{folder} is damaged: delete it, and run the same"):
        course(smile, QUICK, step=STEP, store=tmp_path, workers=1)


def test_another_look_step_or_file_has_a_place_of_its_own(tmp_path: Path) -> None:
    store = tmp_path / "store"
    recording = filmed(tmp_path / "c.mkv", SMILE)

    def kept(look: Look = QUICK, *, step: int = STEP) -> int:
        course(recording, look, step=step, store=store, workers=1)
        return len(list(store.iterdir()))

    assert [kept(), kept(), kept(step=1), kept(Look("farneback", 1)), kept()] == [1, 1, 2, 3, 3]
    os.utime(tmp_path / "c.mkv", ns=(1, 1))
    assert kept() == 4


def test_a_run_that_is_stopped_leaves_nothing_and_the_next_is_whole(
    smile: Recording, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        course(smile, QUICK, step=STEP, store=tmp_path, workers=1, progress=Counted(1))
    assert list(tmp_path.iterdir()) == []
    kept = course(smile, QUICK, step=STEP, store=tmp_path, workers=1)
    assert alike(kept, looked_at(smile))
