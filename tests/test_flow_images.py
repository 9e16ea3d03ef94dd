"""Flow pictures by their index, and by the folders of leave-one-subject-out alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mie_x.datasets import flow_images
from mie_x.datasets.flow_images import ALL, FOLDS, INDEX, SIDE, FlowPicture
from mie_x.datasets.footage import Unreadable
from mie_x.records import Origin

HEADER = "dataset,sub,filename_o,label,apex,imagename,sub_filename"


def draw(path: Path, level: int = 0, side: int = SIDE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (level, 0, 255)).save(path)


def index(root: Path, *lines: str) -> None:
    (root / INDEX).write_text("\n".join([HEADER, *lines]), "utf-8")


def read(root: Path) -> list[FlowPicture]:
    return list(flow_images.read(root))


def test_a_name_has_a_blank_before_its_dot_or_none(tmp_path: Path) -> None:
    draw(tmp_path / ALL / "006_006_1_2 .png", 51)
    draw(tmp_path / ALL / "s01_s01_ne_01.png", 102)
    index(tmp_path, "samm,006,006_1_2,0,,006_006_1_2.jpg,", "smic,s01,s01_ne_01,0,,x.jpg,")
    first, second = read(tmp_path)
    assert first.origin == ("samm", "006", "006_1_2")
    assert (first.path.name, second.path.name) == ("006_006_1_2 .png", "s01_s01_ne_01.png")
    assert (first.label, first.problem, first.stand_in) == (0, "", False)
    assert [p.read()[0, 0, 0] for p in (first, second)] == [np.float32(0.2), np.float32(0.4)]


def test_a_picture_is_u_v_and_strain_from_0_to_1(tmp_path: Path) -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[0, 1] = (255, 51, 102)
    path = tmp_path / "a .png"
    Image.fromarray(pixels).save(path)
    maps = FlowPicture(Origin("smic", "s01", "a"), path, 0).read()
    assert maps.shape == (3, SIDE, SIDE) and maps.dtype == np.float32
    np.testing.assert_allclose(maps[:, 0, 1], [1, 0.2, 0.4], atol=1e-7)
    assert maps.sum() == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("line", "origin"),
    [
        ("samm,6,006_1_2,0,,,", ("samm", "006", "006_1_2")),
        ("samm,006,006_1_2,0,,,", ("samm", "006", "006_1_2")),
        ("CASME2,sub1,EP02_01f,1,,,", ("casme2", "sub01", "EP02_01f")),
        ("casme2,1,EP02_01f,1,,,", ("casme2", "sub01", "EP02_01f")),
        ("smic,s1,s01_ne_01,0,,,", ("smic", "s01", "s01_ne_01")),
        ("casme3,spNO.189,f_150,2,,,", ("casme3", "spNO.189", "f_150")),
    ],
)
def test_a_subject_is_spelled_as_its_pictures_are(
    tmp_path: Path, line: str, origin: tuple[str, str, str]
) -> None:
    draw(tmp_path / ALL / f"{origin[1]}_{origin[2]} .png")
    index(tmp_path, line)
    (picture,) = read(tmp_path)
    assert (tuple(picture.origin), picture.problem) == (origin, "")


def test_every_row_is_handed_out_whatever_is_wrong(tmp_path: Path) -> None:
    draw(tmp_path / ALL / "006_006_1_2 .png")
    draw(tmp_path / ALL / "006_006_1_3 .png")
    index(
        tmp_path,
        "samm,006,006_1_2,0,,,",
        "samm,006,006_9_9,0,,,",
        "samm,006,006_1_3,3,,,",
        "samm,006,006_1_2,0,,,",
    )
    assert [(picture.label, picture.problem) for picture in read(tmp_path)] == [
        (0, ""),
        (0, "no picture"),
        (None, "its class is '3'; not 0, 1 or 2"),
        (0, "told twice"),
    ]


@pytest.mark.parametrize("place", [FOLDS, "three_norm_u_v_os", "."])
def test_folders_alone_tell_subject_class_and_corpus_and_each_picture_once(
    tmp_path: Path, place: str
) -> None:
    names = {"006": "006_006_1_2 .png", "sub01": "sub01_EP02_01f .png", "s01": "s01_s01_po_01 .png"}
    classes = {"006": 0, "sub01": 2, "s01": 1}
    for subject in names:
        for other, name in names.items():
            part = "u_test" if other == subject else "u_train"
            draw(tmp_path / place / subject / part / str(classes[other]) / name)
    (tmp_path / place / "006/u_test/0/.DS_Store").write_bytes(b"\0")
    (tmp_path / place / "006/u_test/1").mkdir()
    assert [(*picture.origin, picture.label) for picture in read(tmp_path)] == [
        ("samm", "006", "006_1_2", 0),
        ("smic", "s01", "s01_po_01", 1),
        ("casme2", "sub01", "EP02_01f", 2),
    ]
    assert all("u_test" in picture.path.parts for picture in read(tmp_path))


def test_an_index_beside_the_folders_finds_the_pictures_in_them(tmp_path: Path) -> None:
    draw(tmp_path / FOLDS / "006/u_test/0/006_006_1_2 .png")
    draw(tmp_path / FOLDS / "006/u_test/1/006_006_1_3 .png")
    draw(tmp_path / FOLDS / "spNO.1/u_test/1/006_006_1_4 .png")
    index(tmp_path, *(f"samm,006,006_1_{n},0,,," for n in (2, 3, 4)))
    assert [(picture.label, picture.problem) for picture in read(tmp_path)] == [
        (0, ""),
        (0, "class 0 in the index, but in 006/u_test/1"),
        (0, "class 0 in the index, but in spNO.1/u_test/1"),
    ]


def test_a_picture_in_anothers_test_folder_is_told(tmp_path: Path) -> None:
    draw(tmp_path / FOLDS / "006/u_test/0/007_007_1_2 .png")
    (picture,) = read(tmp_path)
    assert picture.problem == "in the test folder of 006"


def test_a_subject_that_names_no_corpus_needs_an_index(tmp_path: Path) -> None:
    draw(tmp_path / FOLDS / "spNO.189/u_test/0/spNO.189_f_150.png")
    with pytest.raises(ValueError, match=r"spNO.189: not a subject of .*give an index such as"):
        read(tmp_path)


def test_what_is_no_flow_picture_is_refused_by_name(tmp_path: Path) -> None:
    large, broken, gone = (tmp_path / name for name in ("large .png", "broken .png", "gone .png"))
    draw(large, side=60)
    broken.write_bytes(b"no picture")
    for path, told in ((large, "60 x 60 px; a flow picture is 28 x 28"), (broken, "not one of"),
                       (gone, "No such file")):  # fmt: skip
        with pytest.raises(Unreadable, match=told) as caught:
            FlowPicture(Origin("smic", "s01", "a"), path, 0).read()
        assert str(path) in str(caught.value)


def test_an_index_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    index(tmp_path, "samm,006,../../../006_1_2,0,,,")
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        read(tmp_path)


def test_a_folder_with_neither_index_nor_folders_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither an index such as .* give the folder"):
        read(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[FlowPicture]]:
    root = tmp_path_factory.mktemp("flow")
    return root, flow_images.write_standin(root, subjects=3, clips=4, seed=2)


@pytest.mark.slow
def test_what_was_written_is_read_by_index_and_by_folders(
    tmp_path: Path, written: tuple[Path, list[FlowPicture]]
) -> None:
    root, made = written
    assert read(root) == made
    assert all(picture.stand_in for picture in made)
    assert "STAND-IN" in (root / "STAND-IN.txt").read_text("utf-8")
    alone = read(root / FOLDS)
    assert {(p.origin, p.label) for p in alone} == {(p.origin, p.label) for p in made}
    flow_images.write_standin(tmp_path, subjects=3, clips=4, seed=2, workers=2)
    for picture in made:
        again = tmp_path / picture.path.relative_to(root)
        assert again.read_bytes() == picture.path.read_bytes()


@pytest.mark.slow
def test_each_channel_of_a_stand_in_fills_its_range_and_differs(
    written: tuple[Path, list[FlowPicture]],
) -> None:
    for picture in written[1]:
        maps = picture.read()
        np.testing.assert_array_equal(maps.min(axis=(1, 2)), 0)
        np.testing.assert_array_equal(maps.max(axis=(1, 2)), 1)
        assert np.abs(np.corrcoef(maps.reshape(3, -1)) - np.eye(3)).max() < 0.95
