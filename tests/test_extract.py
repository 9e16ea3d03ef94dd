"""AUs of a clip's frames: each row its own frame's, and NaN where there was nothing to measure."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from au_sources.extract import EXTRACTORS, BuiltIn, OpenFaceCsv, PyFeat
from mie_x.faces.pictures import UnusablePicture
from mie_x.records import AUS, Frames
from mie_x.renderer import draw_person, reference_view, render

AU12 = AUS.index(12)
NUMBERS = (9, 46, 100, 101)
NAMES = ("img9.jpg", "img46.jpg", "img100.jpg", "img101.jpg")
"""As text img100, img101, img46, img9."""

# -- what OpenFace wrote -------------------------------------------------------------------------


def csv(
    path: Path,
    values: Sequence[float],
    *,
    frames: Sequence[int] = (),
    faces: Sequence[int] = (),
    success: Sequence[int] = (),
    unit: str = "_r",
) -> Path:
    """As FeatureExtraction writes it, AU01 as said, else zeros; confidence .99, .98, ..."""
    head = ["frame", "face_id", "timestamp", "confidence", "success"]
    lines = [", ".join(head + [f"AU{au:02d}{unit}" for au in AUS])]
    for row, value in enumerate(values):
        cells = [
            frames[row] if frames else row + 1,
            faces[row] if faces else 0,
            row / 30,
            0.99 - row / 100,
            success[row] if success else 1,
            value,
            *[0] * (len(AUS) - 1),
        ]
        lines.append(", ".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_of_a_folder_are_in_the_order_of_its_names_as_text(tmp_path: Path) -> None:
    path = csv(tmp_path / "clip.csv", [1, 2, 3, 4])  # of img100, img101, img46, img9
    found = OpenFaceCsv().read(path, NUMBERS, NAMES)
    assert found.aus[:, 0].tolist() == pytest.approx([0.8, 0.6, 0.2, 0.4])
    assert found.aus.dtype == np.float32
    assert found.aus.shape == (4, 17)
    assert found.confidence is not None
    assert found.confidence.tolist() == pytest.approx([0.96, 0.97, 0.99, 0.98])


def test_rows_of_a_video_are_in_time(tmp_path: Path) -> None:
    path = csv(tmp_path / "clip.csv", [1, 2, 3, 4])
    by_number = OpenFaceCsv(order="numbers").read(path, NUMBERS, NAMES)
    unnamed = OpenFaceCsv().read(path, NUMBERS, ())
    assert by_number.aus[:, 0].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert (unnamed.aus == by_number.aus).all()


@given(numbers=st.sets(st.integers(0, 5000), min_size=1, max_size=40).map(sorted))
def test_every_frame_gets_its_own_row_however_names_sort(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    names = [f"reg_img{number}.png" for number in numbers]
    truth = {f"reg_img{number}.png": number / 1000 for number in numbers}
    path = csv(tmp_path_factory.mktemp("csv") / "c.csv", [truth[name] for name in sorted(names)])
    found = OpenFaceCsv(min_confidence=0).read(path, numbers, names)
    assert found.aus[:, 0].tolist() == pytest.approx([n / 5000 for n in numbers], abs=1e-6)


def test_rows_that_were_sorted_otherwise_afterwards_are_known_by_their_frame(
    tmp_path: Path,
) -> None:
    path = csv(tmp_path / "clip.csv", [3, 1, 2], frames=[3, 1, 2])
    found = OpenFaceCsv().read(path, [1, 2, 3], ())
    assert found.aus[:, 0].tolist() == pytest.approx([0.2, 0.4, 0.6])


def test_a_frame_that_openface_failed_on_is_nan(tmp_path: Path) -> None:
    path = csv(tmp_path / "clip.csv", [0, 1, 0], success=[1, 1, 0])
    found = OpenFaceCsv().read(path, [1, 2, 3], ())
    assert np.isnan(found.aus).all(axis=1).tolist() == [False, False, True]
    assert not np.isnan(found.aus[:2]).any()


@pytest.mark.parametrize("count", [3, 5])
def test_another_number_of_rows_than_frames_is_an_error_that_names_both(
    tmp_path: Path, count: int
) -> None:
    path = csv(tmp_path / "clip.csv", [0] * count)
    with pytest.raises(ValueError, match=rf"clip.csv: {count} rows, but the clip has 4 frames"):
        OpenFaceCsv().read(path, NUMBERS, NAMES)


def test_as_many_rows_as_frames_but_not_the_same_ones_are_an_error(tmp_path: Path) -> None:
    path = csv(tmp_path / "clip.csv", [0, 0, 0], frames=[1, 2, 4])
    with pytest.raises(ValueError, match="frames 1 to 4 in 3 rows"):
        OpenFaceCsv().read(path, [1, 2, 3], ())


def test_one_of_several_faces_has_to_be_named(tmp_path: Path) -> None:
    path = csv(tmp_path / "clip.csv", [1, 2, 3, 4], frames=[1, 1, 2, 2], faces=[0, 7, 0, 7])
    with pytest.raises(ValueError, match=r"2 faces \(0, 7\)"):
        OpenFaceCsv().read(path, [1, 2], ())
    assert OpenFaceCsv(face=7).read(path, [1, 2], ()).aus[:, 0].tolist() == pytest.approx(
        [0.4, 0.8]
    )


def test_what_is_not_in_openface_s_unit_is_not_openface_s(tmp_path: Path) -> None:
    path = csv(tmp_path / "clip.csv", [0.1], unit="")
    with pytest.raises(ValueError, match="no column AU01_r"):
        OpenFaceCsv().read(path, [1], ())


def test_names_that_are_not_of_the_numbers_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 names of 4 frames"):
        OpenFaceCsv().read(csv(tmp_path / "clip.csv", [0] * 4), NUMBERS, NAMES[:3])


def test_an_order_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="names or numbers"):
        OpenFaceCsv(order="time")  # type: ignore[arg-type]


# -- what the estimator sees ---------------------------------------------------------------------


def film(smiles: Sequence[float], seed: int = 6) -> list[Frames]:
    """A drawn person, 200 px in 320 x 240 of gray, with AU12 as said, a frame each."""
    aus = np.zeros((len(smiles), len(AUS)), np.float32)
    aus[:, AU12] = smiles
    people, views = [draw_person(seed)] * len(aus), [reference_view()] * len(aus)
    frames = []
    for image in render(people, views, aus).images:
        scene = Image.new("RGB", (320, 240), (120, 125, 130))
        scene.paste(Image.fromarray(image).resize((200, 200), Image.Resampling.BICUBIC), (60, 20))
        frames.append(np.asarray(scene))
    return frames


SMILE = film([0, 0.2, 0.5, 0.8])
BLANK = np.full_like(SMILE[0], 90)


def test_the_estimator_sees_a_smile_rise() -> None:
    found = BuiltIn().measure(iter(SMILE), SMILE[0])
    assert found.aus.shape == (4, 17)
    assert found.aus.dtype == np.float32
    assert (np.diff(found.aus[:, AU12]) > 0.1).all()
    assert found.confidence is not None
    assert (found.confidence > 0.9).all()


def test_a_frame_without_a_face_is_nan_and_costs_the_others_nothing() -> None:
    whole = BuiltIn().measure(SMILE, SMILE[0])
    found = BuiltIn().measure([SMILE[0], BLANK, *SMILE[2:]], SMILE[0])
    assert np.isnan(found.aus).all(axis=1).tolist() == [False, True, False, False]
    assert found.confidence is not None
    assert found.confidence[1] < 0.9
    assert np.allclose(found.aus[[0, 2, 3]], whole.aus[[0, 2, 3]], atol=1e-5)


def test_a_frame_is_seen_as_the_onset_frame_s_face_stood() -> None:
    """Not as the frame's own: it need not be among the frames, and another one gives others."""
    moved = np.roll(SMILE[0], 6, axis=1)
    ours = BuiltIn().measure(SMILE[1:], SMILE[0]).aus
    assert np.allclose(ours, BuiltIn().measure(SMILE, SMILE[0]).aus[1:], atol=1e-5)
    assert not np.allclose(ours, BuiltIn().measure(SMILE[1:], moved).aus, atol=1e-3)


def test_long_clips_are_measured_in_parts_alike() -> None:
    twice = BuiltIn().measure(SMILE * 5, SMILE[0]).aus
    assert np.allclose(twice.reshape(5, 4, 17), BuiltIn().measure(SMILE, SMILE[0]).aus, atol=1e-5)


def test_an_onset_without_a_face_says_so() -> None:
    with pytest.raises(UnusablePicture, match="no face"):
        BuiltIn().measure(SMILE, BLANK)


def test_no_frames_are_no_rows() -> None:
    found = BuiltIn().measure([], SMILE[0])
    assert found.aus.shape == (0, 17)
    assert found.confidence is not None
    assert found.confidence.shape == (0,)


def test_weights_that_are_not_there_are_an_error_before_any_frame(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="check the path"):
        _ = BuiltIn(weights=tmp_path / "mine.safetensors").settings


# -- all of them ---------------------------------------------------------------------------------


def test_extractors_go_from_process_to_process() -> None:
    for extractor in (OpenFaceCsv(order="numbers", face=1), PyFeat(), BuiltIn(Path("w"))):
        assert pickle.loads(pickle.dumps(extractor)) == extractor


def test_settings_are_json_and_tell_what_was_done() -> None:
    openface, ours = OpenFaceCsv().settings, BuiltIn().settings
    for told in (openface, ours):
        assert json.loads(json.dumps(told)) == told
        assert {"tool", "version", "weights_sha256", "licence", "unit", "alignment"} <= set(told)
    assert "version not told" in openface["tool"]
    assert len(ours["weights_sha256"]) == 64


def test_those_without_pixels_read_and_the_others_measure() -> None:
    for extractor in EXTRACTORS.values():
        assert hasattr(extractor, "measure") == extractor.looks_at_pixels
        assert hasattr(extractor, "read") != extractor.looks_at_pixels
