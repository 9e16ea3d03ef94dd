"""Flow pictures that others have computed, as users of STSTNet and HTNet hand them on.

::

    ROOT/combined_3_class2_for_optical_flow.csv                       the index; *optical_flow*.csv
    ROOT/datasets/STSNet_whole_norm_u_v_os/006_006_1_2 .png           a picture a clip
    ROOT/datasets/three_norm_u_v_os/006/u_test/0/006_006_1_2 .png     leave one subject out: class 0
    ROOT/datasets/three_norm_u_v_os/006/u_train/1/sub01_EP02_01f .png     of all other subjects

28 x 28 px, R = u, G = v, B = strain, each by its own least and largest value to 0..255
(``flow.to_picture``). A name has a blank before its dot, here and there none. ``datasets`` may be
missing, or ROOT be one of the two folders. The index: ``dataset,sub,filename_o,label,apex,
imagename,sub_filename``; MEGC 2019's 442 rows, the last column empty. Each of its rows is handed
out; without it, what lies in the test folders is. Train folders hold the same pictures again, 67
times each, and are never read.

A picture has no frames: it is no ``Clip``, and its reader is not among the collections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from mie_x import flow
from mie_x.datasets import standin
from mie_x.datasets.footage import Unreadable, below, folders, listed
from mie_x.datasets.sheets import read_sheet, write_sheet
from mie_x.faces.pictures import UnusablePicture, decode, read_bytes
from mie_x.records import LABEL_OF_EMOTION, LABELS, Origin
from mie_x.whole import whole

SIDE = 28  # px
INDEX = "combined_3_class2_for_optical_flow.csv"
COLUMNS = ("dataset", "sub", "filename_o", "label", "apex", "imagename", "sub_filename")
ALL = "datasets/STSNet_whole_norm_u_v_os"
FOLDS = "datasets/three_norm_u_v_os"
SUBJECTS = {"casme2": ("sub", 2), "smic": ("s", 2), "samm": ("", 3)}
"""Corpus -> what its subjects are called: letters, then so many digits."""


@dataclass(frozen=True, slots=True)
class FlowPicture:
    """One clip's flow picture. ``label`` is one of ``LABELS``' values, or None.

    ``problem`` says why it cannot be used, else "".
    """

    origin: Origin
    path: Path
    label: int | None
    problem: str = ""
    stand_in: bool = False

    def read(self) -> flow.Maps:
        """u, v, strain: (3, 28, 28) float32 in [0, 1]; Unreadable where the file is no such."""
        try:
            picture = decode(read_bytes(self.path))
        except UnusablePicture as error:
            raise Unreadable(f"{self.path}: {error}") from error
        if picture.shape[:2] != (SIDE, SIDE):
            height, width = picture.shape[:2]
            raise Unreadable(
                f"{self.path}: {width} x {height} px; a flow picture is {SIDE} x {SIDE}"
            )
        return flow.from_picture(picture)


def read(root: Path) -> Iterator[FlowPicture]:
    """Every row of the index in its order, or else every picture in a test folder, by name.

    FileNotFoundError where there is neither.
    """
    indices = sorted(root.glob("*optical_flow*.csv"))
    tested = list(_tested(_first(root, FOLDS)))
    if not indices and not tested:
        raise FileNotFoundError(
            f"{root}: neither an index such as {INDEX} nor folders such as {FOLDS}/006/u_test/0; "
            "give the folder that holds them"
        )
    seen: set[Origin] = set()
    for picture in _indexed(root, indices[-1], tested) if indices else map(_told_by_folder, tested):
        if picture.origin in seen:
            picture = replace(picture, problem="told twice")
        seen.add(picture.origin)
        yield replace(picture, stand_in=standin.is_standin(root))


def _first(root: Path, folder: str) -> Path:
    """FOLDER, or its last part, in ROOT; else ROOT itself."""
    places = (root / folder, root / Path(folder).name)
    return next((place for place in places if place.is_dir()), root)


def _tested(tree: Path) -> Iterator[Path]:
    """The pictures in the tree's test folders."""
    for subject in folders(tree):
        for label in folders(tree / subject / "u_test"):
            yield from _pngs(tree / subject / "u_test" / label)


def _pngs(folder: Path) -> list[Path]:
    return [folder / name for name in listed(folder) if name.lower().endswith(".png")]


def _stem(path: Path) -> str:
    return path.stem.strip()


def _told_by_folder(path: Path) -> FlowPicture:
    """A picture of which nothing but its place SUBJECT/u_test/LABEL is known."""
    subject, _, label = path.parts[-4:-1]
    corpus = [
        corpus
        for corpus, (letters, digits) in SUBJECTS.items()
        if re.fullmatch(rf"{letters}\d{{{digits}}}", subject)
    ]
    if not corpus:
        raise ValueError(
            f"{path.parents[2]}: not a subject of {', '.join(SUBJECTS)}; "
            f"give an index such as {INDEX} beside the folders, which tells whose it is"
        )
    origin = Origin(corpus[0], subject, _stem(path).removeprefix(f"{subject}_"))
    own = _stem(path).startswith(f"{subject}_")
    return _picture(origin, path, label, "" if own else f"in the test folder of {subject}")


def _indexed(root: Path, index: Path, tested: Sequence[Path]) -> Iterator[FlowPicture]:
    folder = _first(root, ALL)
    paths = {_stem(path): path for path in (*tested, *_pngs(folder))}
    folds = {_stem(path): path.parts[-4:-1] for path in tested}
    for row in read_sheet(index, header=COLUMNS[:4]).rows:
        corpus = row["dataset"].lower()
        subject, label = _spelled(corpus, row["sub"]), row["label"]
        stem = f"{subject}_{row['filename_o']}"
        fold, problem = (subject, "u_test", label), ""
        if stem not in paths:
            problem = "no picture"
        elif folds.get(stem, fold) != fold:
            problem = f"class {label} in the index, but in {'/'.join(folds[stem])}"
        path = paths.get(stem) or below(folder, f"{stem} .png")
        yield _picture(Origin(corpus, subject, row["filename_o"]), path, label, problem)


def _picture(origin: Origin, path: Path, label: str, problem: str) -> FlowPicture:
    if label in map(str, LABELS.values()):
        return FlowPicture(origin, path, int(label), problem)
    return FlowPicture(origin, path, None, f"its class is {label!r}; not 0, 1 or 2")


def _spelled(corpus: str, subject: str) -> str:
    """A subject as its pictures call it: SAMM's 6 is 006."""
    letters, digits = SUBJECTS.get(corpus, ("", 0))
    number = subject.removeprefix(letters)
    return letters + number.zfill(digits) if number.isdigit() else subject


def write_standin(
    root: Path, *, subjects: int = 6, clips: int = 12, seed: int = 0, workers: int = 1
) -> list[FlowPicture]:
    """Write index and folders to ROOT, of TV-L1 flow between rendered onsets and apexes.

    Returns what ``read`` is to find there. Subjects are of three corpora in turn.
    """
    from joblib import Parallel, delayed

    made: list[FlowPicture] = []
    takes = []
    lines: list[list[object]] = [[*COLUMNS]]
    emotions = {"disgust": 1, "happiness": 1, "surprise": 1}
    for number, (who, emotion) in enumerate(standin.cast(subjects, clips, emotions, seed=seed)):
        corpus = list(SUBJECTS)[who % len(SUBJECTS)]
        subject = _spelled(corpus, f"{SUBJECTS[corpus][0]}{who // len(SUBJECTS) + 1}")
        label = LABELS[LABEL_OF_EMOTION[emotion]]
        clip = {
            "casme2": f"EP{number + 1:02d}_01f",
            "smic": f"{subject}_{('ne', 'po', 'sur')[label]}_{number + 1:02d}",
            "samm": f"{subject}_1_{number + 1}",
        }[corpus]
        takes.append(
            standin.take(f"flow-{corpus}", seed, subject, clip, emotion, kind="micro", fps=100)
        )
        path = root / ALL / f"{subject}_{clip} .png"
        made.append(FlowPicture(Origin(corpus, subject, clip), path, label, stand_in=True))
        seen = f"{subject}_{clip}.jpg"
        lines.append([corpus, subject, clip, label, None, seen, None])
    drawn = Parallel(n_jobs=workers)(delayed(_draw)(take) for take in takes)
    for picture, image in zip(made, drawn, strict=True):
        name = picture.path.name
        places = [
            root / FOLDS / subject / ("u_test" if own else "u_train") / str(picture.label)
            for subject in {p.origin.subject for p in made}
            for own in [subject == picture.origin.subject]
        ]
        for folder in (picture.path.parent, *places):
            folder.mkdir(parents=True, exist_ok=True)
            with whole(folder / name) as unfinished:
                image.save(unfinished, "PNG")
    (root / ALL / ".DS_Store").write_bytes(b"\0")
    write_sheet(root / INDEX, {"index": lines})
    standin.mark(root, "flow pictures of MEGC 2019", [], seed=seed)
    return made


def _draw(take: standin.Take) -> Image.Image:
    """The flow picture from a take's onset to its apex."""
    ends = replace(take.shot(), aus=take.aus[[take.onset, take.apex]])
    onset, apex = (flow.gray(frame) for frame in standin.film(ends))
    return Image.fromarray(flow.to_picture(flow.uv_strain(onset, apex, size=SIDE)))
