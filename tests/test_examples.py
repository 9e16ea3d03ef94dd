"""Examples of datasets, collections and flow pictures, and what is kept of them on the disk."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mie_x import samples
from mie_x.datasets.sheets import write_sheet
from mie_x.faces.aligned import find_alignment
from mie_x.faces.detection import TEMPLATE
from mie_x.flow import gray, to_picture
from mie_x.records import AUS, LABELS, Frames
from pipelines.examples import Example, of_collection, of_dataset, of_flow_pictures
from pipelines.views import VIEWS, Recipe, Seen, flows_a_second, look, milliseconds_a_sample
from recognizers import settings, views
from recognizers.views import FIXED, draw_augmentation
from tests.conftest import make_dataset
from tests.test_footage import record

HEADER = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None]
FIRST = 46  # number of a clip's first frame
SHOWN = {"happiness": 12, "disgust": 9, "surprise": 1, "others": 4}  # emotion -> AU


def film(person: int, au: int, values: Sequence[float]) -> list[Frames]:
    """A drawn person, 200 px in 320 x 240 of gray, with an AU as said, a frame each."""
    from mie_x.renderer import draw_person, reference_view, render

    aus = np.zeros((len(values), len(AUS)), np.float32)
    aus[:, AUS.index(au)] = values
    drawn = render([draw_person(person)] * len(aus), [reference_view()] * len(aus), aus).images
    frames = []
    for image in drawn:
        scene = Image.new("RGB", (320, 240), (120, 125, 130))
        scene.paste(Image.fromarray(image).resize((200, 200), Image.Resampling.BICUBIC), (60, 20))
        frames.append(np.asarray(scene))
    return frames


def lay_out(root: Path) -> Path:
    """A CASME II of five clips, by its own layout: each 4 frames, apex the third.

    The third has no label, the fourth no face, of the fifth onset and apex are one frame.
    """
    rows = [
        ("01", "EP01", 48, "happiness"),
        ("02", "EP02", 48, "disgust"),
        ("02", "EP03", 48, "others"),
        ("03", "EP04", 48, "surprise"),
        ("03", "EP05", 46, "surprise"),
    ]
    lines = [[*HEADER, "Action Units", "Estimated Emotion"]]
    for number, (subject, name, apex, emotion) in enumerate(rows):
        lines.append([subject, name, None, FIRST, apex, FIRST + 3, None, "12", emotion])  # type: ignore[list-item]
        frames = film(6 + number, SHOWN[emotion], (0, 0.2, 0.4, 0.3))
        if name == "EP04":
            frames = [np.full_like(frame, 90) for frame in frames]
        folder = root / "CASME2_RAW_selected" / f"sub{subject}" / name
        folder.mkdir(parents=True)
        for at, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"img{FIRST + at}.jpg", quality=95)
    write_sheet(root / "CASME2-coding-20190701.xlsx", {"Sheet1": lines})
    return root


@pytest.fixture(scope="session")
def casme2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of rendered people: look, do not touch."""
    return lay_out(tmp_path_factory.mktemp("casme2"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what the tests share is computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def clips(casme2: Path) -> list[Example]:
    return of_collection("casme2", casme2).examples


class Counted:
    """Told of progress; stops the work after so many rows."""

    def __init__(self, stop: int | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self.stop = stop

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if len(self.calls) == self.stop:
            raise KeyboardInterrupt


# -- of a dataset --------------------------------------------------------------------------------


def test_examples_of_a_dataset_are_its_samples_in_every_format(dataset: Path) -> None:
    found, left_out = of_dataset(dataset)
    read = list(samples.read(dataset))
    assert [e.key for e in found] == [s.key for s in read]
    assert [(e.label, e.subject, e.origin) for e in found] == [
        (s.label, s.subject, s.origin) for s in read
    ]
    for number in (0, 7, len(read) - 1):
        assert (found[number].frames == read[number].frames).all()
    assert {e.kind for e in found} == {"micro"}
    assert {e.stand_in for e in found if e.source == "mie"} == {True}
    assert {e.stand_in for e in found if e.source == "exp"} == {False}
    assert left_out == []


def test_a_part_of_a_dataset_by_sources(made: Callable[[str], Path]) -> None:
    folder = made("parquet")
    everything = of_dataset(folder).examples
    some = of_dataset(folder, sources=["exp"]).examples
    assert [e.key for e in some] == [e.key for e in everything if e.source == "exp"]
    assert (some[3].frames == next(e for e in everything if e.key == some[3].key).frames).all()
    with pytest.raises(ValueError, match="no samples of mae; there are exp, mie"):
        of_dataset(folder, sources=["mae"])


def test_a_clip_of_a_dataset_ends_at_its_apex(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d", "parquet", frames=6, course="full", people=["b"])
    examples = of_dataset(folder).examples
    for example, sample in zip(examples, samples.read(folder), strict=True):
        assert 1 < sample.apex < 5
        assert (example.frames == sample.frames[: sample.apex + 1]).all()
    seen = look(examples, ["onset_apex"], cache=tmp_path)
    wanted = views.onset_apex(examples[2].frames, -1)
    assert (seen.inputs(2, None)[0] == wanted).all()
    assert look(examples, ["gray_10"], cache=tmp_path).inputs(0, None)[0].shape == (10, 128, 128)


# -- of a collection -----------------------------------------------------------------------------


def test_examples_of_a_collection_are_its_labelled_clips(casme2: Path) -> None:
    found, left_out = of_collection("casme2", casme2)
    assert [e.key for e in found] == [
        "casme2/sub01/EP01", "casme2/sub02/EP02", "casme2/sub03/EP04", "casme2/sub03/EP05",
    ]  # fmt: skip
    assert [e.label for e in found] == [
        LABELS[n] for n in ("positive", "negative", *["surprise"] * 2)
    ]
    assert found[1].subject == "casme2/sub02"
    assert {(e.source, e.kind, e.stand_in) for e in found} == {("real", "micro", False)}
    assert left_out == [("casme2/sub02/EP03", "its emotion 'others' is of no class")]


def test_emotions_are_the_classes_where_they_are_named(casme2: Path) -> None:
    found, left_out = of_collection("casme2", casme2, classes=("others", "disgust"))
    told = [(e.key[-4:], e.label, e.emotion) for e in found]
    assert told == [("EP02", 1, "disgust"), ("EP03", 0, "others")]
    assert [(key[-4:], reason) for key, reason in left_out] == [
        ("EP01", "its emotion 'happiness' is of no class"),
        ("EP04", "its emotion 'surprise' is of no class"),
        ("EP05", "its emotion 'surprise' is of no class"),
    ]


def test_a_clip_is_seen_as_its_onset_stood_from_onset_to_apex(clips: list[Example]) -> None:
    frames = clips[0].frames
    assert frames.shape == (3, 128, 128, 3)
    onset = film(6, 12, [0])[0]
    alignment = find_alignment(onset)
    a, _, c, _, _, f = alignment.matrix
    x, y = 100, 100  # the frame's px that this px of the aligned picture shows
    shown = onset[int((y - f) / a), int((x - c) / a)]
    assert np.abs(frames[0, y, x].astype(int) - shown).max() < 25
    moved = np.abs(frames[2].astype(int) - frames[0]).mean(axis=2)
    assert moved[85:120, 35:95].mean() > 3 * moved[:40].mean()  # a smile is in the mouth


def test_a_face_that_is_not_found_is_told_and_not_seen(clips: list[Example], cache: Path) -> None:
    seen = look(clips, ["onset_apex"], cache=cache)
    assert [e.key[-4:] for e in seen.examples] == ["EP01", "EP02", "EP05"]
    assert seen.labels.tolist() == [1, 0, 2]
    ((key, reason),) = seen.left_out
    assert key == "casme2/sub03/EP04"
    assert "no face" in reason
    with pytest.raises(ValueError, match=r"EP04: .*no face"):
        _ = clips[2].frames


def test_a_clip_whose_onset_is_its_apex_shows_it_twice_and_nothing_moves(
    clips: list[Example], cache: Path
) -> None:
    frames = clips[3].frames
    assert frames.shape == (2, 128, 128, 3)
    assert (frames[0] == frames[1]).all()
    pair, maps = look(clips[3:], ["onset_apex", "flow_raw"], cache=cache).inputs(0, None)
    assert (pair[0] == pair[1]).all()
    assert np.abs(maps).max() == 0


@pytest.fixture
def ckplus(tmp_path: Path) -> Path:
    """CK+ of one sequence of 20 frames, from neutral to the peak, and one of a single frame."""
    for sequence, count in (("001", 20), ("002", 1)):
        stem = f"S005_{sequence}_"
        folder = tmp_path / "cohn-kanade-images/S005" / sequence
        folder.mkdir(parents=True)
        for number in range(1, count + 1):
            Image.new("L", (8, 6), number).save(folder / f"{stem}{number:08d}.png")
        emotion = tmp_path / "Emotion/S005" / sequence
        emotion.mkdir(parents=True)
        (emotion / f"{stem}{count:08d}_emotion.txt").write_text("   5.0000000e+00\n")
    return tmp_path


@pytest.mark.parametrize(
    ("early", "most", "last", "count"),
    [
        (0.35, 64, 8, 8),  # frame int(.35 x 20) = 7, from 0
        (0.25, 64, 6, 6),
        (1.0, 64, 20, 20),  # the apex
        (0.0, 64, 2, 2),  # never the onset alone
        (1.0, 5, 20, 5),
    ],
)
def test_of_a_macro_expression_an_early_frame_is_the_apex(
    ckplus: Path, early: float, most: int, last: int, count: int
) -> None:
    (example,), left_out = of_collection("ckplus", ckplus, early=early, most=most)
    assert example.kind == "macro"
    assert example.pool.lengths.tolist() == [count]
    numbers = example.pool.shown[0].numbers  # type: ignore[attr-defined]
    assert (numbers[0], numbers[-1], len(set(numbers))) == (1, last, count)
    assert left_out == [("ckplus/S005/S005_002", "onset and apex are one frame: nothing moves")]


def test_a_clip_in_a_video_is_seen_as_in_a_folder(tmp_path: Path) -> None:
    """The frames before it, in which the person sits elsewhere, are not looked at."""
    frames = film(6, 12, (0, 0.2, 0.4))
    record(tmp_path / "v.mkv", [*[np.roll(frames[0], 50, axis=1)] * 3, *frames])
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number + 1}.png")
    (tmp_path / "clips.csv").write_text(
        "subject,clip,path,onset,apex,offset,emotion\n"
        "s,a,v.mkv,4,6,6,happiness\ns,b,frames,1,3,3,happiness\n"
    )
    found, left_out = of_collection("clips", tmp_path)
    assert left_out == []
    filmed, folded = (example.frames for example in found)
    assert filmed.shape == (3, 128, 128, 3)
    assert (filmed == folded).all()
    seen = look(found, ["onset_apex"], cache=tmp_path / "c")
    assert (seen.inputs(0, None)[0] == views.onset_apex(folded, -1)).all()


def test_kinds_that_are_not_asked_for_are_not_told_of(ckplus: Path) -> None:
    assert of_collection("ckplus", ckplus, kinds=["micro"]) == ([], [])


def test_macro_is_what_a_recognizer_is_told(clips: list[Example], cache: Path) -> None:
    assert look(clips, ["apex"], cache=cache).macro.tolist() == [False] * 3


# -- views ---------------------------------------------------------------------------------------

DIRECT: dict[str, Callable[[Frames], np.ndarray]] = {
    "apex": lambda f: views.apex(f, -1),
    "onset_apex": lambda f: views.onset_apex(f, -1),
    "onset_apex_gray": lambda f: views.onset_apex(f, -1, colour="gray"),
    "flow_hsv": lambda f: views.apex(views.painted(f, -1, size=128)[None], 0),
    "flow_28": lambda f: views.flow_of(f, -1, size=28),
    "mean_roi": lambda f: views.mean_roi(
        views.flow_of(f, -1, size=128), views.five_to_68(TEMPLATE)
    ),
    "flow_sequence_10": lambda f: views.flow_sequence(f, 10, size=128),
    "flow_sequence_64": lambda f: views.flow_sequence(f, 64, size=128),
    "flow_sequence_128": lambda f: views.flow_sequence(f, 128, size=128),
    "flow_raw": lambda f: views.flow_of(f, -1, size=128, normalise="raw"),
    "gray_10": lambda f: views.temporal(gray(f), 10),
}


def test_every_view_that_recognizers_ask_for_is_there() -> None:
    assert list(VIEWS) == list(settings.VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_out_of_the_cache_is_the_view_of_the_frames(
    view: str, clips: list[Example], cache: Path
) -> None:
    (shown,) = look(clips[:1], [view], cache=cache).inputs(0, None)
    assert shown.shape == settings.VIEWS[view]
    assert shown.dtype == np.float32
    if view.startswith("flow_sequence"):
        assert np.allclose(shown, DIRECT[view](clips[0].frames), rtol=1e-3, atol=1e-4)
    else:
        assert (shown == DIRECT[view](clips[0].frames)).all()


def test_synthetic_and_real_examples_are_seen_together(
    clips: list[Example], made: Callable[[str], Path], cache: Path
) -> None:
    synthetic = of_dataset(made("png")).examples[4:6]
    seen = look([*synthetic, *clips[:2]], ["onset_apex"], cache=cache)
    assert [e.source for e in seen.examples] == [*(e.source for e in synthetic), "real", "real"]
    for index, example in enumerate([*synthetic, *clips[:2]]):
        assert (seen.inputs(index, None)[0] == views.onset_apex(example.frames, -1)).all()
    chosen = seen.select([3, 0])
    assert chosen.labels.tolist() == [clips[1].label, synthetic[0].label]
    assert (chosen.inputs(0, None)[0] == seen.inputs(3, None)[0]).all()


def test_onset_and_apex_are_augmented_alike(clips: list[Example], cache: Path) -> None:
    still = look(clips[3:], ["onset_apex", "apex"], cache=cache)
    augmentation = draw_augmentation(np.random.default_rng(3))
    pair, apex = still.inputs(0, augmentation)
    assert (pair[0] == pair[1]).all()
    assert (pair[1] == apex).all()
    assert np.abs(pair[1] - still.inputs(0, None)[1]).mean() > 0.01
    assert (still.inputs(0, FIXED)[1] == still.inputs(0, None)[1]).all()


def test_what_is_seen_goes_to_another_process_by_name(clips: list[Example], cache: Path) -> None:
    seen = look(clips, ["onset_apex", "flow_28"], cache=cache)
    data = pickle.dumps(seen)
    assert len(data) < 2 * 128 * 128 * 3  # less than a pair's frames
    other: Seen = pickle.loads(data)
    for mine, its in zip(seen.inputs(1, None), other.inputs(1, None), strict=True):
        assert (mine == its).all()


def test_a_view_that_nobody_knows_is_refused(clips: list[Example], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no view 'flow'; there are apex, onset_apex"):
        look(clips, ["flow"], cache=tmp_path)


# -- what is kept --------------------------------------------------------------------------------


def test_rows_are_made_once_whoever_asks(made: Callable[[str], Path], tmp_path: Path) -> None:
    examples = of_dataset(made("parquet")).examples
    few, all_of_them, again = Counted(), Counted(), Counted()
    first = look(examples[3:7], ["apex"], cache=tmp_path, progress=few)
    everything = look(examples, ["apex"], cache=tmp_path, progress=all_of_them)
    look(of_dataset(made("parquet"), sources=["exp"]).examples, ["apex"], cache=tmp_path,
         progress=again)  # fmt: skip
    assert few.calls == [(n, 4) for n in range(1, 5)]
    assert all_of_them.calls == [(n, 29) for n in range(5, 30)]
    assert again.calls == []
    assert (first.inputs(2, None)[0] == everything.inputs(5, None)[0]).all()


def test_a_run_that_was_stopped_goes_on(made: Callable[[str], Path], tmp_path: Path) -> None:
    examples = of_dataset(made("parquet")).examples
    with pytest.raises(KeyboardInterrupt):
        look(examples, ["apex"], cache=tmp_path / "a", progress=Counted(stop=10))
    rest = Counted()
    gone_on = look(examples, ["apex"], cache=tmp_path / "a", progress=rest)
    straight = look(examples, ["apex"], cache=tmp_path / "b")
    assert rest.calls == [(n, 29) for n in range(11, 30)]
    for index in range(29):
        assert (gone_on.inputs(index, None)[0] == straight.inputs(index, None)[0]).all()
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(tmp_path.rglob("run.lock"))


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "root")
    before = look(of_collection("casme2", root).examples[:1], ["apex"], cache=tmp_path / "c")
    path = root / "CASME2_RAW_selected/sub01/EP01/img48.jpg"
    Image.fromarray(film(6, 12, [0.9])[0]).save(path)
    os.utime(path, ns=(1, 1))
    after = look(of_collection("casme2", root).examples[:1], ["apex"], cache=tmp_path / "c")
    assert np.abs(before.inputs(0, None)[0] - after.inputs(0, None)[0]).max() > 0.1


def test_another_recipe_is_another_table_of_flow_and_the_same_frames(
    clips: list[Example], tmp_path: Path
) -> None:
    def forms() -> list[str]:
        return sorted(json.loads(path.read_text())["form"] for path in tmp_path.glob("*/told.json"))

    minmax = look(clips[:1], ["flow_28"], cache=tmp_path)
    assert forms() == ["flow", "flow_28", "pair"]
    signed = look(clips[:1], ["flow_28"], recipe=Recipe(normalise="signed"), cache=tmp_path)
    assert forms() == ["flow", "flow_28", "flow_28", "pair"]
    assert signed.inputs(0, None)[0].min() < 0 <= minmax.inputs(0, None)[0].min()
    fast = look(clips[:1], ["flow_raw"], recipe=Recipe("farneback"), cache=tmp_path)
    assert forms() == ["flow", "flow", "flow_28", "flow_28", "pair"]
    wanted = views.flow_of(clips[0].frames, -1, size=128, flow="farneback", normalise="raw")
    assert (fast.inputs(0, None)[0] == wanted).all()


@pytest.mark.slow
def test_two_processes_make_what_one_does(
    clips: list[Example], cache: Path, tmp_path: Path
) -> None:
    wanted = ["flow_28", "gray_10", "flow_hsv"]
    one, two = (
        look(clips, wanted, cache=where, workers=n) for where, n in ((cache, 1), (tmp_path, 2))
    )
    assert one.left_out == two.left_out
    for index in range(len(one)):
        for a, b in zip(one.inputs(index, None), two.inputs(index, None), strict=True):
            assert (a == b).all()


def test_mean_s_parts_are_where_the_template_has_them(
    casme2: Path, clips: list[Example], tmp_path: Path
) -> None:
    """Whatever face was laid on it: the similarity of points to the template is the identity."""
    frame = np.asarray(Image.open(casme2 / "CASME2_RAW_selected/sub02/EP02/img46.jpg"))
    laid = find_alignment(frame).points_in()
    assert np.abs(laid - TEMPLATE).max() > 0.3
    of_face, of_template = (views.five_to_68(points) for points in (laid, TEMPLATE))
    known = ~np.isnan(of_template)
    assert of_face[known] == pytest.approx(of_template[known], abs=1e-3)


def test_faces_that_are_not_on_the_template_have_no_parts_for_mean(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    examples = of_dataset(made("parquet")).examples[:1]
    examples[0].pool.settings["faces"]["align"] = "crop"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="--align similarity"):
        look(examples, ["mean_roi"], cache=tmp_path)


# -- flow pictures -------------------------------------------------------------------------------


@pytest.fixture
def pictures(clips: list[Example], tmp_path: Path) -> Path:
    """The flow pictures of two clips, as others write them, by index; a third has none."""
    lines: list[list[object]] = [["dataset", "sub", "filename_o", "label"]]
    folder = tmp_path / "given/datasets/STSNet_whole_norm_u_v_os"
    folder.mkdir(parents=True)
    for example in clips[:2]:
        assert example.origin is not None
        name = f"{example.origin.subject}_{example.origin.clip}"
        picture = to_picture(views.flow_of(example.frames, -1, size=28))
        Image.fromarray(picture).save(folder / f"{name} .png")
        lines.append(["casme2", example.origin.subject, example.origin.clip, example.label])
    lines.append(["casme2", "sub09", "EP99", 0])
    write_sheet(tmp_path / "given/combined_3_class2_for_optical_flow.csv", {"index": lines})
    return tmp_path / "given"


def test_a_flow_picture_is_what_flow_of_the_frames_is_within_its_bits(
    pictures: Path, clips: list[Example], cache: Path, tmp_path: Path
) -> None:
    found, left_out = of_flow_pictures(pictures)
    assert left_out == [("casme2/sub09/EP99", "no picture")]
    given = look(found, ["flow_28"], cache=tmp_path / "c")
    ours = look(clips[:2], ["flow_28"], cache=cache)
    assert [e.origin for e in given.examples] == [e.origin for e in ours.examples]
    assert given.labels.tolist() == ours.labels.tolist()
    for index in range(2):
        its, mine = given.inputs(index, None)[0], ours.inputs(index, None)[0]
        assert its.dtype == mine.dtype == np.float32
        assert np.abs(its - mine).max() <= 0.5 / 255 + 1e-6
        direct = views.flow_of(clips[index].frames, -1, size=28)
        assert np.abs(its - direct).max() <= 1 / 255


def test_flow_pictures_tell_one_view_normalised_in_one_way(pictures: Path, tmp_path: Path) -> None:
    found = of_flow_pictures(pictures).examples
    assert {(e.source, e.kind) for e in found} == {("flow", "micro")}
    with pytest.raises(ValueError, match="onset_apex is made of frames"):
        look(found, ["flow_28", "onset_apex"], cache=tmp_path)
    with pytest.raises(ValueError, match="signed on one side alone"):
        look(found, ["flow_28"], recipe=Recipe(normalise="signed"), cache=tmp_path)
    with pytest.raises(ValueError, match="has no frames"):
        _ = found[0].frames


def test_a_picture_that_is_none_is_left_out_with_the_reason(pictures: Path, tmp_path: Path) -> None:
    path = next(pictures.rglob("sub01*.png"))
    Image.new("RGB", (30, 28)).save(path)
    seen = look(of_flow_pictures(pictures).examples, ["flow_28"], cache=tmp_path)
    assert [e.key for e in seen.examples] == ["casme2/sub02/EP02"]
    assert "30 x 28 px" in seen.left_out[0].reason


# -- how fast ------------------------------------------------------------------------------------


def test_rates_are_of_what_is_computed(clips: list[Example], cache: Path) -> None:
    assert 0.1 < flows_a_second(clips[:2], workers=1) < 1000
    seen = look(clips, ["flow_28"], cache=cache)
    assert 0 < milliseconds_a_sample(seen, None) < 100
