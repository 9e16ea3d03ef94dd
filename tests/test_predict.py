"""What a recognizer says of one clip: found, framed and seen as in training; pictures of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from mie_x.cli import main
from mie_x.datasets.flow_images import ALL
from mie_x.faces.aligned import aligned, find_alignment
from mie_x.records import LABELS, Frames
from mie_x.report import STAND_IN
from pipelines import cams
from pipelines.examples import Example, of_collection, of_flow_pictures
from pipelines.predict import most_strained, predict, thinned
from pipelines.views import Recipe, look
from recognizers import DESCRIPTORS, RECOGNIZERS, training, weights
from recognizers.descriptor_svm import DescriptorSvm, Planes
from recognizers.settings import told
from recognizers.training import Fitted
from recognizers.weights import Loaded
from tests.conftest import noise
from tests.test_aligned import FACE, OTHER, scene
from tests.test_examples import film, lay_out
from tests.test_flow_images import draw, index
from tests.test_footage import record
from tests.test_grad_cam import looking

CLASSES = tuple(LABELS)
COURSE = (0, 0, 0.2, 0.5, 0.4, 0.1)  # AU 12: the fourth frame is the apex
FIRST = 8  # number of the first frame in its folder
SMILE = film(7, 12, COURSE)
BLANK = np.full_like(SMILE[0], 90)


def untrained(name: str) -> Fitted:
    torch.manual_seed(3)
    recognizer = RECOGNIZERS[name]
    network = recognizer.build(classes=3).eval()
    return Fitted(name, network, CLASSES, 3, told(recognizer.settings))


def svm(name: str) -> Fitted:
    """Says surprise of whatever it sees."""
    descriptor = DESCRIPTORS[name]
    planes = Planes(np.array([0, 2]), np.zeros((1, descriptor.length)), np.array([-1.0]))
    settings = {"views": [descriptor.view], "cost": 1.0}
    return Fitted(name, DescriptorSvm(descriptor, planes=planes), CLASSES, 0, settings)


def laid_out(folder: Path, frames: Sequence[Frames]) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, FIRST):
        Image.fromarray(frame).save(folder / f"img{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, and a clip as a folder, as a video, as two pictures: look, do not touch."""
    root = tmp_path_factory.mktemp("world")
    for name in ("ststnet", "mean"):
        weights.save(
            root / f"{name}.safetensors", untrained(name), trained_on="nothing", stand_in=True
        )
    weights.save(root / "bi-woof.safetensors", svm("bi-woof"), trained_on="casme2", stand_in=False)
    laid_out(root / "clip", SMILE)
    laid_out(root / "faceless", [BLANK, BLANK])
    (root / "empty").mkdir()
    record(root / "clip.mkv", SMILE)
    (root / "cut.mp4").write_bytes(b"no video")
    (root / "notes.txt").write_text("no video either")
    Image.fromarray(SMILE[3][:-8]).save(root / "smaller.png")
    Image.fromarray(scene((OTHER, 110, 10, 20), (FACE, 200, 180, 60))).save(root / "two.png")
    (root / "torn.png").write_bytes((root / "two.png").read_bytes()[:5000])
    return root


def mie_x(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ask(world: Path, *given: str, name: str = "ststnet", **options: object) -> Result:
    arguments = [f"--{key}={value}" for key, value in options.items()]
    paths = [world / one for one in given]
    return mie_x("predict", world / f"{name}.safetensors", *paths, "--flow=farneback", *arguments)


# -- the answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ststnet", "mean"])
def test_a_clip_is_seen_as_clips_of_a_collection_are(
    world: Path, tmp_path: Path, name: str
) -> None:
    root = lay_out(tmp_path / "casme2")
    example = of_collection("casme2", root).examples[0]
    fitted = untrained(name)
    seen = look([example], RECOGNIZERS[name].settings.views, cache=tmp_path / "cache")
    wanted = training.predict(fitted, seen)[0].tolist()
    (folder,) = root.rglob("EP01")
    answer = predict(
        world / f"{name}.safetensors", [folder], onset=46, apex=48, flow="tvl1", picture=None
    )
    assert [answer.scores[label] for label in CLASSES] == pytest.approx(wanted, abs=1e-6)


def test_a_video_a_folder_and_two_pictures_of_it_get_one_answer(world: Path) -> None:
    folder = ask(world, "clip", onset=8, apex=11, name="mean")
    video = ask(world, "clip.mkv", onset=1, apex=4, name="mean")
    pair = ask(world, "clip/img008.png", "clip/img011.png", name="mean")
    assert folder.exit_code == 0, folder.output
    assert folder.stdout == video.stdout == pair.stdout
    lines = [line.split() for line in folder.stdout.splitlines()]
    assert {name for _, name in lines} == set(CLASSES)
    assert sum(float(score) for score, _ in lines) == pytest.approx(1, abs=0.002)
    assert [score for score, _ in lines] == sorted((score for score, _ in lines), reverse=True)


def test_what_is_told_is_json_as_well(world: Path) -> None:
    said = json.loads(CliRunner().invoke(main, [
        "predict", str(world / "ststnet.safetensors"), str(world / "clip"),
        "--flow=farneback", "--apex=12", "--json",
    ]).stdout)  # fmt: skip
    assert said.pop("weights_sha256") == weights.load(world / "ststnet.safetensors").sha256
    assert sum(said.pop("scores").values()) == pytest.approx(1, abs=1e-5)
    assert said == {
        "recognizer": "ststnet", "trained_on": "nothing", "stand_in": True,
        "clip": str(world / "clip"), "onset": 8, "apex": 12, "apex_from": "given", "faces": 1,
    }  # fmt: skip


def test_what_the_weights_have_learned_from_is_said_apart_from_the_answer(world: Path) -> None:
    stand_in, real = ask(world, "clip", apex=11), ask(world, "clip", apex=11, name="bi-woof")
    assert f"ststnet, learned from nothing: {STAND_IN}" in stand_in.stderr
    assert "bi-woof, learned from casme2\n" in real.stderr
    assert "learned" not in stand_in.stdout
    assert real.stdout.splitlines()[0] == "1.000 surprise"


def test_of_two_faces_the_largest_is_taken_and_said(world: Path) -> None:
    done = ask(world, "two.png", "two.png")
    assert done.exit_code == 0, done.output
    assert "2 faces on the onset frame, the largest is taken" in done.stderr


def test_an_apex_that_nobody_tells_is_looked_for_and_said(world: Path) -> None:
    done = ask(world, "clip")
    assert "frame 11 is taken for the apex" in done.stderr
    assert "frame 4 is taken for the apex" in ask(world, "clip.mkv").stderr
    assert done.stdout == ask(world, "clip", apex=11).stdout
    later = ask(world, "clip", onset=12)  # from there the face comes back to rest
    assert "frame 13 is taken for the apex, where strain from onset frame 12" in later.stderr


def test_a_long_rise_is_thinned_at_equal_steps_as_in_training() -> None:
    assert thinned(range(5, 69)) == list(range(5, 69))
    assert thinned(range(127)) == list(range(0, 127, 2))
    few = thinned(range(1000))
    assert (len(few), few[0], few[-1]) == (64, 0, 999)


def test_an_apex_is_not_looked_for_in_more_than_a_second(world: Path, tmp_path: Path) -> None:
    long = laid_out(tmp_path / "long", [SMILE[0][:8, :8]] * 201)
    done = mie_x("predict", world / "ststnet.safetensors", long)
    assert done.exit_code == 2
    assert "201 frames are too many to look for an apex in; give --apex" in done.stderr
    shorter = mie_x("predict", world / "ststnet.safetensors", long, "--onset", 9)
    assert "too small: the picture has 8 px" in shorter.stderr


def test_nothing_of_a_clip_is_kept(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEX_CACHE", str(tmp_path / "cache"))
    assert ask(world, "clip", apex=11).exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (("faceless",), {"apex": 9}, "faceless: no face"),
        (("empty",), {}, "empty: 0 frames"),
        (("nowhere",), {}, "nowhere: no such video or folder"),
        (("notes.txt",), {}, "notes.txt: no video by its name"),
        (("cut.mp4",), {}, "cut.mp4: no video that can be read"),
        (("clip", "clip", "clip"), {}, "give two pictures, onset and apex, or one video"),
        (("clip/img008.png", "nowhere.png"), {}, "nowhere.png: unreadable: No such file"),
        (("clip/img008.png", "torn.png"), {}, "torn.png: unreadable"),
        (("clip/img008.png", "smaller.png"), {}, "smaller.png: frame 1 of the clip is uint8"),
        (("clip/img008.png", "clip/img011.png"), {"apex": 2}, "frame numbers of a clip"),
        (("clip",), {"apex": 99}, "no frame 99 for --apex; there are 8 to 13"),
        (("clip",), {"onset": 11, "apex": 11}, "apex 11 does not come after onset 11"),
        (("clip",), {"onset": 13}, "onset 13 is the last frame"),
        (("clip.mkv",), {"onset": 7}, "no frame 7 for --onset; there are 1 to 6"),
        (("clip",), {"picture": "a.png", "name": "bi-woof"}, "is an SVM, which has no Grad-CAM"),
        (("clip",), {"apex": 9, "picture": "/nowhere/a.png"}, "No such file or directory"),
        (("clip",), {"name": "clip/img008"}, "no such weights file"),
    ],
)
def test_what_cannot_be_used_ends_in_one_sentence(
    world: Path, given: tuple[str, ...], options: dict[str, object], says: str
) -> None:
    done = ask(world, *given, **options)  # type: ignore[arg-type]
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_weights_of_something_else_are_told_from_a_recognizer_s(world: Path) -> None:
    shipped = Path(__file__).parents[1] / "ganimation" / "weights" / "compact.safetensors"
    done = mie_x("predict", shipped, world / "clip")
    assert done.exit_code == 2
    assert "not a mie-x recognizer" in done.stderr


def test_two_numbers_alike_in_a_folder_are_not_one_clip(world: Path, tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "twice", SMILE[:2])
    Image.fromarray(SMILE[0]).save(folder / "img8.png")
    done = mie_x("predict", world / "ststnet.safetensors", folder)
    assert done.exit_code == 2
    assert "has the number of another" in done.stderr


# -- the apex ------------------------------------------------------------------------------------


@pytest.mark.parametrize("au", [1, 4, 12, 25])
@pytest.mark.parametrize("flow", ["tvl1", "farneback"])
def test_the_apex_is_found_in_noise_and_beside_a_change_of_the_background(
    au: int, flow: str
) -> None:
    rng = np.random.default_rng(au)
    frames = film(3, au, (0, 0.1, 0.25, 0.4, 0.25, 0.1))
    framed = aligned(frames, find_alignment(frames[0]))
    noisy = np.clip(framed + rng.normal(0, 3, framed.shape), 0, 255).astype(np.uint8)
    noisy[5, :10] = rng.integers(0, 255, (10, 128, 3))
    assert most_strained(noisy, flow=flow) == 3


def test_of_frames_that_are_all_alike_the_first_after_the_onset_is_taken() -> None:
    assert most_strained(np.stack([noise(1)] * 4), flow="farneback") == 1


# -- pictures ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return of_collection("casme2", lay_out(tmp_path_factory.mktemp("casme2"))).examples


def test_every_view_of_a_network_has_a_picture_for_its_map() -> None:
    wanted = {recognizer.settings.views[0] for recognizer in RECOGNIZERS.values()}
    assert wanted <= set(cams.SHOWN)
    frames = np.stack([noise(1), noise(2)])
    for view in wanted:
        shown = cams.SHOWN[view](frames)
        assert shown.dtype == np.uint8
        assert (len(shown), shown.shape[3]) == (2, 3)


@pytest.mark.parametrize(
    "name",
    [
        "ststnet",
        "mean",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("apexme", "branches", "dtscnn-light")),
    ],
)
def test_a_triptych_is_onset_apex_and_apex_under_the_map(
    examples: list[Example], tmp_path: Path, name: str
) -> None:
    fitted = untrained(name)
    view = RECOGNIZERS[name].settings.views[0]
    seen = look(examples[:1], [view], recipe=Recipe("farneback"), cache=tmp_path)
    for label in range(3):
        picture = cams.triptych(fitted, seen, 0, label, side=96)
        assert picture.shape == (96, 288, 3)
        onset, apex, under = np.split(picture, 3, axis=1)
        ends = cams.SHOWN[view](examples[0].frames[[0, -1]])
        for drawn, end in ((onset, ends[0]), (apex, ends[1])):
            wanted = Image.fromarray(end).resize((96, 96), Image.Resampling.BICUBIC)
            assert (drawn == np.asarray(wanted)).all()
        assert (onset != apex).any()
        assert (under == apex).all() or (under != apex).any(axis=2).mean() > 0.01


def test_the_map_lies_where_the_answer_comes_from(examples: list[Example], tmp_path: Path) -> None:
    seen = look(examples[:1], ["flow_28"], recipe=Recipe("farneback"), cache=tmp_path)
    (maps,) = seen.inputs(0, None)
    fitted = replace(untrained("ststnet"), network=looking())
    for label in (0, 1):
        _, apex, under = np.split(cams.triptych(fitted, seen, 0, label, side=112), 3, axis=1)
        changed = (
            np.abs(under.astype(int) - apex).sum(axis=2).reshape(28, 4, 28, 4).mean(axis=(1, 3))
        )
        largest = np.unravel_index(maps[label].argmax(), (28, 28))
        assert changed[largest] > np.median(changed)
    _, apex, under = np.split(cams.triptych(fitted, seen, 0, 2, side=112), 3, axis=1)
    assert (under == apex).all()  # nothing speaks for surprise


def test_the_surest_are_chosen_class_by_class_right_and_wrong() -> None:
    scores = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.9, 0.1], [0.1, 0.9]])
    assert cams.chosen(scores, [0, 0, 0, 1, 0, 1], count=2) == [
        (0, True, [1, 4]), (0, False, [2]), (1, True, [5]), (1, False, [3]),
    ]  # fmt: skip


def test_a_sheet_has_a_row_of_pictures_for_each_class_right_and_wrong(
    examples: list[Example], tmp_path: Path
) -> None:
    seen = look(examples, ["flow_28"], recipe=Recipe("farneback"), cache=tmp_path)
    loaded = Loaded(untrained("ststnet"), "0" * 64, "nothing", stand_in=True)
    assert seen.labels.tolist() == [1, 0, 2]
    sheet = cams.sheet(loaded, "casme2", seen, count=2)
    panel = cams.captioned(np.zeros((cams.SIDE, 3 * cams.SIDE, 3), np.uint8), ["words"])
    assert sheet.shape[1] == 2 * panel.shape[1] + cams.GAP
    coloured = (sheet.min(axis=2) != sheet.max(axis=2)).mean(axis=1) > 0.2
    rows = np.flatnonzero(np.diff(coloured.astype(int)) == 1).size
    assert rows == 3  # each is of a class of its own
    drawn = cams.draw(loaded, "casme2", seen, tmp_path / "cams.png", count=2)
    assert (np.asarray(Image.open(drawn)) == sheet).all()


def test_a_stand_in_says_so_on_its_sheet(examples: list[Example], tmp_path: Path) -> None:
    seen = look(examples, ["flow_28"], recipe=Recipe("farneback"), cache=tmp_path)
    fitted = untrained("ststnet")
    sheets = [
        cams.sheet(Loaded(fitted, "0" * 64, "nothing", stand_in=stand_in), "casme2", seen)
        for stand_in in (True, False)
    ]
    assert sheets[0].shape != sheets[1].shape or (sheets[0] != sheets[1]).any()


def test_what_has_no_map_or_no_frames_has_no_sheet(
    world: Path, examples: list[Example], tmp_path: Path
) -> None:
    seen = look(examples, ["flow_raw"], recipe=Recipe("farneback"), cache=tmp_path)
    with pytest.raises(ValueError, match="an SVM, which has no Grad-CAM"):
        cams.sheet(Loaded(svm("bi-woof"), "0" * 64, "nothing", stand_in=True), "casme2", seen)
    draw(tmp_path / ALL / "006_006_1_2 .png")
    index(tmp_path, "samm,006,006_1_2,0,,006_006_1_2.jpg,")
    pictures = look(of_flow_pictures(tmp_path).examples, ["flow_28"], cache=tmp_path)
    loaded = Loaded(untrained("ststnet"), "0" * 64, "nothing", stand_in=True)
    with pytest.raises(ValueError, match="a flow picture has no frames"):
        cams.sheet(loaded, "flow_images", pictures)


def test_the_picture_of_an_answer_is_written_and_leaves_the_answer_as_it_is(
    world: Path, tmp_path: Path
) -> None:
    with_picture = ask(world, "clip", apex=11, picture=tmp_path / "a.png")
    assert with_picture.stdout == ask(world, "clip", apex=11).stdout
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    framed = aligned(SMILE, find_alignment(SMILE[0]))
    wanted = Image.fromarray(framed[3]).resize((256, 256), Image.Resampling.BICUBIC)
    assert (picture[:256, 256:512] == np.asarray(wanted)).all()
    assert picture.shape[1] == 768
    assert picture.shape[0] > 256
