"""Stand-ins: rendered clips in the layouts of real collections, with everything about them known.

Nobody moved so. The people are the renderer's, the emotions' action units are what textbooks agree
on, and timing, size, asymmetry, jitter and noise are made up; ``STAND-IN.txt`` in the folder says
so, and every clip that is read from such a folder has ``stand_in``. A figure measured on a stand-in
says that the software runs, and nothing about micro-expressions.

Long videos, and clips with neutral frames around them, may show people who live (``live``): they
blink, move their heads and their mouths, and ``STAND-IN.csv`` tells every event of them, free of
the sheets' quirks. A head that moves is its picture, shifted and turned with all that is behind it:
another pose would be another drawing a frame, and no head here turns away from the camera.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mie_x import __version__
from mie_x.datasets.collection import MARK, counts, standin_mark
from mie_x.datasets.sheets import read_sheet, write_sheet
from mie_x.records import AUS, Aus, Clip, Frames
from mie_x.whole import whole, write_text

TRUTH = "STAND-IN.csv"
SIZE = 160  # px, a side: the detector wants some room, and nothing is enlarged to 128
JITTER = 0.35  # px at SIZE, standard deviation of a head that tries to keep still
TILT = 0.15  # degrees, likewise
UNEVEN = 0.3  # from this difference between the sides a coder writes L or R

SHAPES: dict[str, dict[int, float]] = {
    "happiness": {12: 1.0, 6: 0.7, 25: 0.3},
    "surprise": {1: 1.0, 2: 0.9, 5: 0.6, 25: 0.4, 26: 0.7},
    "sadness": {4: 0.8, 1: 0.7, 15: 1.0, 17: 0.5},
    "fear": {1: 0.8, 4: 0.6, 5: 0.8, 20: 1.0, 25: 0.5},
    "anger": {4: 1.0, 7: 0.8, 23: 0.7},
    "disgust": {9: 1.0, 10: 0.8, 17: 0.5},
    "contempt": {14: 1.0, 12: 0.2},
    "repression": {14: 0.8, 17: 1.0, 15: 0.4},
    "others": {4: 1.0, 7: 0.6},
}
"""Emotion -> AU -> its share of the clip's amplitude; the first AU always takes part."""

LIKE = {
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "other": "others",
    "positive": "happiness",
    "negative": "disgust",
    "tense": "others",
    "helpless": "sadness",
    "pain": "anger",
    "confused": "others",
}
"""Words of the sheets -> the emotion of ``SHAPES`` that is shown for them."""

SECONDS = {  # of rise and fall, shortest and longest; a micro-expression has half a second at most
    "micro": ((0.08, 0.2), (0.08, 0.25)),
    "macro": ((0.4, 1.0), (0.4, 1.2)),
}
AMPLITUDE = {"micro": (0.15, 0.4), "macro": (0.6, 0.95)}

# Of people who live. Blinks: some 16 a minute, as at rest (17 in Bentivoglio et al., Mov. Disord.
# 1997), shut in a tenth of a second and open again in twice that. All else is ours.
EVERY = {"blink": (1.5, 2.2), "head": (3.2, 4.0), "mouth": (3.0, 7.0)}
"""What -> seconds from one's begin to the next: the least, and the mean (exponential) of what is
more. The least is longer than one lasts."""
LASTS = {
    "blink": ((0.07, 0.12), (0.0, 0.05), (0.15, 0.25)),
    "head": ((0.3, 1.0), (0.2, 1.0), (0.3, 1.0)),
    "mouth": ((0.15, 0.4), (0.0, 0.3), (0.2, 0.5)),
}
"""What -> seconds of rise, hold and fall, shortest and longest."""
SHUT = (0.85, 1.0)  # AU45 of a blink
MOUTHS: tuple[dict[int, float], ...] = (
    {17: 1.0, 23: 0.4},  # a swallow
    {23: 1.0, 14: 0.5},  # lips pressed
    {25: 1.0, 26: 0.5},  # lips parted
)
MOUTH = (0.1, 0.25)  # amplitude: less than most micro-expressions have
SHIFT = (1.5, 4.0)  # px at SIZE of a head's movement
TURN = (1.0, 3.0)  # degrees, likewise
FARTHEST = (6.0, 6.0, 4.0)  # px, px and degrees from where the head was first
STAYS = 0.5  # share of the movements after which the head stays where it is
SWAY = (0.8, 0.8, 0.4)  # px, px and degrees of a slow drift of posture
SWAYS = (6.0, 20.0)  # seconds that it takes to come back


class Event(NamedTuple):
    """Something that a stand-in shows, in frame numbers of its footage.

    ``what`` is "micro", "macro", "blink", "head" or "mouth"; at ``first`` and ``last`` nothing is
    to be seen yet, or any more, but of a head that stays (its ``apex`` is its ``last``), and where
    the film begins or ends within.
    """

    what: str
    first: int
    apex: int
    last: int


@dataclass(frozen=True, eq=False)
class Life:
    """What somebody does beside expressions, a row a frame.

    ``aus`` (T, 17) are those of both sides of the face alike; ``head`` (T, 3) is how it is moved, x
    and y in px at SIZE, and degrees.
    """

    aus: Aus
    head: NDArray[np.float64]


@dataclass(frozen=True)
class Shot:
    """One film of one person: ``aus`` (T, 17) in [0, 1], a row a frame.

    ``person`` names the face: the same name, the same face. ``lean`` in [-1, 1] is by how much more
    the side on the left of the picture moves than the other. ``seed`` fixes light, framing, jitter
    and noise. ``gray`` and ``noise`` (of 255) are the camera's. Without ``life`` nobody blinks.
    """

    person: str
    aus: Aus
    seed: int
    lean: float = 0.0
    gray: bool = False
    noise: float = 1.5
    life: Life | None = None

    @property
    def shown(self) -> Aus:
        """(T, 17) in [0, 1]: all that the face does."""
        return self.aus if self.life is None else np.clip(self.aus + self.life.aus, 0, 1)


def seed_of(*parts: object) -> int:
    """63 bits that depend on PARTS alone."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def expression(
    rng: np.random.Generator, emotion: str, *, kind: str, fps: float, fall: bool = True
) -> tuple[Aus, int, float]:
    """AUs (T, 17) of a rise from rest to the apex and, with FALL, back; the apex's row; the lean.

    Row 0, the onset, is at rest; so is the last row where there is a fall.
    """
    shape = np.zeros(len(AUS))
    for rank, (au, share) in enumerate(SHAPES[LIKE.get(emotion.lower(), emotion.lower())].items()):
        if rank == 0 or rng.random() < 0.8:
            shape[AUS.index(au)] = share * rng.uniform(0.8, 1.0)
    shape[int(rng.integers(len(AUS)))] += rng.uniform(0.0, 0.1)  # a companion that nobody codes
    shape *= rng.uniform(*AMPLITUDE[kind])
    rise, back = (max(2, round(rng.uniform(*span) * fps)) for span in SECONDS[kind])
    lean = float(np.clip(rng.normal(0, 0.3), -0.6, 0.6)) if rng.random() < 0.5 else 0.0
    curve = _swell(rise, back if fall else 0)
    return (curve[:, None] * shape.clip(0, 1)).astype(np.float32), rise, lean


def _swell(rise: int, back: int, *, hold: int = 0) -> NDArray[np.float64]:
    """(1 + RISE + HOLD + BACK,): from 0 to 1, smoothly, there for HOLD frames, and back to 0."""
    up = 0.5 - 0.5 * np.cos(np.pi * np.arange(rise + 1) / rise)
    down = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, back + 1) / max(back, 1))
    return np.concatenate([up, np.ones(hold), down])


def pauses(rng: np.random.Generator, rest: float, count: int, *, fps: float) -> list[int]:
    """Frames of COUNT neutral stretches, each REST x U(0.5, 1.5) seconds long."""
    if not 0 < rest < float("inf"):
        raise ValueError(f"a rest of {rest} seconds; give a number above 0")
    return [max(1, round(rest * share * fps)) for share in rng.uniform(0.5, 1.5, count)]


def live(
    shot: Shot, played: Sequence[Event], *, first: int, fps: float, around: int = 0
) -> tuple[Shot, list[Event]]:
    """SHOT of somebody who lives, and all its events in their order, the expressions PLAYED too.

    FIRST is the number of its first frame. Blinks and movements of the head come whenever they do,
    so within expressions too; the mouth has no other movement while it shows one. Nobody begins
    what would not end in time; but with AROUND, the shot is cut out of a recording that has so many
    more frames before and after it, and so may be what somebody does at its ends. Depends on the
    shot's seed and on the arguments alone.
    """
    rng = np.random.default_rng(seed_of("life", shot.seed))
    rows = around + len(shot.aus) + around
    shown = range(first, first + len(shot.aus))
    aus, head = np.zeros((rows, len(AUS)), np.float32), np.zeros((rows, 3))
    events = [*played]
    posture = np.zeros(3)
    for what, moment in _moments(rng, rows / fps):
        rise, hold, back = (round(rng.uniform(*span) * fps) for span in LASTS[what])
        rise, back = max(rise, 1), max(back, 1)
        stays = what == "head" and rng.random() < STAYS
        curve = _swell(rise, 0) if stays else _swell(rise, back, hold=hold)
        start = round(moment * fps)
        end = start + len(curve)
        at = [first - around + row for row in (start, start + rise, end - 1)]
        event = Event(what, *(min(max(n, shown[0]), shown[-1]) for n in at))
        shape = np.zeros(len(AUS))
        if what == "blink":
            shape[AUS.index(45)] = rng.uniform(*SHUT)
        elif what == "mouth":
            size = rng.uniform(*MOUTH)
            for au, share in MOUTHS[int(rng.integers(len(MOUTHS)))].items():
                shape[AUS.index(au)] = share * size
        if end > rows or (what == "mouth" and any(_overlap(event, other) for other in played)):
            continue
        if event.first < event.last:
            events.append(event)
        aus[start:end] += (curve[:, None] * shape).astype(np.float32)
        if what == "head":
            step = _step(rng, posture)
            head[start:end] += curve[:, None] * step
            if stays:
                head[end:] += step
                posture = posture + step
    waves = np.arange(rows)[:, None] / fps / rng.uniform(*SWAYS, 3) + rng.random(3)
    head += np.sin(2 * np.pi * waves) * SWAY
    kept = slice(around, rows - around)
    life = Life(aus[kept], head[kept])
    return replace(shot, life=life), sorted(events, key=lambda event: event[1:])


def _moments(rng: np.random.Generator, seconds: float) -> Iterator[tuple[str, float]]:
    """What begins when, each in its own order; the clock runs before the camera does."""
    for what, (least, more) in EVERY.items():
        at = -rng.uniform(0, least + more)
        while (at := at + least + rng.exponential(more)) < seconds:
            if at >= 0:
                yield what, at


def _overlap(one: Event, other: Event) -> bool:
    return one.first <= other.last and other.first <= one.last


def _step(rng: np.random.Generator, posture: NDArray[np.float64]) -> NDArray[np.float64]:
    """A head's movement (x, y, degrees) from POSTURE; back where it would go too far."""
    length, way, turn = rng.uniform(*SHIFT), rng.uniform(0, 2 * np.pi), rng.uniform(*TURN)
    step = np.array([length * np.cos(way), length * np.sin(way), turn * rng.choice([-1, 1])])
    return np.where(np.abs(posture + step) > FARTHEST, -step, step)


@dataclass(frozen=True, eq=False)
class Take:
    """One acted expression, before it is filmed. Rows count from 0, the first frame.

    ``aus`` (T, 17); ``coded`` is what a coder would write of the apex; ``seed`` is the take's own.
    """

    person: str
    emotion: str
    aus: Aus
    onset: int
    apex: int
    offset: int
    lean: float
    coded: str
    seed: int

    def shot(self, *, gray: bool = False, noise: float = 1.5) -> Shot:
        return Shot(self.person, self.aus, self.seed, self.lean, gray, noise)


def take(
    collection: str,
    seed: int,
    subject: str,
    name: str,
    emotion: str,
    *,
    kind: str,
    fps: float,
    before: int = 0,
    after: int = 0,
    fall: bool = True,
) -> Take:
    """Have SUBJECT act EMOTION, with BEFORE and AFTER frames at rest; depends on the names alone.

    Without FALL the last row is the apex and the offset, as in CK+.
    """
    own = seed_of(collection, seed, subject, name)
    person = f"{collection}-{seed}-{subject}"
    acted, apex, lean = expression(
        np.random.default_rng(own), emotion, kind=kind, fps=fps, fall=fall
    )
    aus = rest(person, before + len(acted) + after)
    play(aus, before, acted)
    last = before + len(acted) - 1
    units = coded(acted[apex], lean)
    return Take(person, emotion, aus, before, before + apex, last, lean, units, own)


def coded(aus: Aus, lean: float) -> str:
    """What a coder would write of an apex (17,): ``4+L12``; "" where nothing is to be seen."""
    side = "" if abs(lean) < UNEVEN else "R" if lean > 0 else "L"  # the person's own right
    return "+".join(
        f"{side if au in (12, 14, 10) else ''}{au}"
        for au, value in zip(AUS, aus, strict=True)
        if value >= 0.08
    )


def cell(units: str) -> object:
    """Coded units as a cell: a lone one is a number in the sheets, nothing is an empty cell."""
    return int(units) if units.isdigit() else units or None


def rest(person: str, rows: int) -> Aus:
    """AUs (ROWS, 17) of a person who does nothing: a few are never quite at rest."""
    rng = np.random.default_rng(seed_of("habits", person))
    habits = rng.uniform(0.01, 0.05, len(AUS)) * (rng.random(len(AUS)) < 0.25)
    return np.tile(habits.astype(np.float32), (rows, 1))


def play(aus: Aus, start: int, acted: Aus) -> None:
    """Add ACTED to AUS in place, its first row at START; what sticks out at the end is cut off."""
    rows = aus[start : start + len(acted)]
    rows[:] = np.clip(rows + acted[: len(rows)], 0, 1)


def film(shot: Shot) -> Iterator[Frames]:
    """The frames of SHOT, (SIZE, SIZE, 3) uint8 RGB each."""
    rng = np.random.default_rng(seed_of("camera", shot.seed))
    steady = np.zeros(3)
    life = shot.life or Life(np.zeros_like(shot.aus), np.zeros((len(shot.aus), 3)))
    for row, own, head in zip(shot.aus, life.aus, life.head, strict=True):
        # a head's slow drift: each frame keeps nine tenths of the one before
        steady = 0.9 * steady + np.sqrt(1 - 0.81) * rng.normal(size=3) * (JITTER, JITTER, TILT)
        picture = _moved(_drawn(shot, row, own), steady + head)
        noisy = picture + rng.normal(0, shot.noise, picture.shape)
        frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        yield np.repeat(frame, 3, axis=2) if shot.gray else frame


def _drawn(shot: Shot, aus: Aus, own: Aus) -> NDArray[np.float64]:
    """(SIZE, SIZE, 3 or, if gray, 1) on 0 to 255, of AUS that lean and of OWN that do not.

    The renderer knows no sides: two pictures meet at the nose.
    """
    if shot.lean and aus.any():
        left, right = (
            _rendered(shot.person, shot.seed, np.clip(aus * share + own, 0, 1).tobytes())
            for share in (np.float32(1 + shot.lean), np.float32(1 - shot.lean))
        )
        to_right = 1 / (1 + np.exp((SIZE / 2 - np.arange(SIZE)) / 4))[:, None]  # within some 10 px
        picture = left + to_right * (right.astype(np.float64) - left)
    else:
        shown = np.clip(aus + own, 0, 1).tobytes()
        picture = _rendered(shot.person, shot.seed, shown).astype(np.float64)
    return (picture @ (0.299, 0.587, 0.114))[..., None] if shot.gray else picture


@lru_cache(maxsize=8)
def _rendered(person: str, seed: int, aus: bytes) -> Frames:
    from mie_x.renderer import draw_person, draw_view, render

    view = replace(draw_view(seed, spread=0.6), noise=0.0)  # the sensor's noise is ours, a frame's
    face = draw_person(seed_of("stand-in", person))
    vector = np.frombuffer(aus, np.float32)[None]
    picture: Frames = render([face], [view], vector, size=SIZE, supersample=1).images[0]
    return picture


def _moved(picture: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """PICTURE shifted by (x, y) px and turned by degrees about its middle."""
    from scipy.ndimage import affine_transform

    angle = np.deg2rad(by[2])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (SIZE - 1) / 2)
    start = middle - turn @ (middle + by[1::-1])
    planes = [
        affine_transform(plane, turn, start, order=1, mode="nearest")
        for plane in np.moveaxis(picture, 2, 0)
    ]
    return np.stack(planes, axis=2)


@dataclass(frozen=True)
class Reel:
    """Where the frames of a shot go: ``names`` are the files of its rows, below ``folder``."""

    shot: Shot
    folder: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class VideoReel:
    """A shot that becomes a video file, ``path`` (.mkv), of ``fps`` frames a second."""

    shot: Shot
    path: Path
    fps: int


def write_reels(reels: Sequence[Reel | VideoReel], *, workers: int) -> None:
    """Film REELS and write every frame, by WORKERS processes: the same bytes by any number."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    done = Parallel(n_jobs=workers, return_as="generator")(delayed(_write)(r) for r in reels)
    for _ in tqdm(done, total=len(reels), unit=" films", disable=None):  # a bar on a terminal
        pass


def _write(reel: Reel | VideoReel) -> None:
    if isinstance(reel, VideoReel):
        _write_video(reel)
    else:
        _write_reel(reel)


def _write_video(reel: VideoReel) -> None:
    """Without losses (FFV1): a micro-expression is a few levels, and a codec's noise as many."""
    import av

    reel.path.parent.mkdir(parents=True, exist_ok=True)
    with (
        whole(reel.path) as unfinished,
        # "bitexact" leaves out a random number of the file's own
        av.open(str(unfinished), "w", format="matroska", options={"fflags": "bitexact"}) as file,
    ):
        stream = file.add_stream("ffv1", rate=reel.fps)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "bgr0"
        for frame in film(reel.shot):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def _write_reel(reel: Reel) -> None:
    reel.folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(reel.names, film(reel.shot), strict=True):
        image = Image.fromarray(frame[..., 0] if reel.shot.gray else frame)
        kind = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}[Path(name).suffix.lower()]
        options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        with whole(reel.folder / name) as unfinished:
            image.save(unfinished, kind, **options)


def write_openface(root: Path, name: str, files: Sequence[str], aus: Aus, *, seed: int) -> Path:
    """Write what OpenFace's FeatureExtraction would say of a clip, as ROOT/openface/NAME.csv.

    AUS (T, 17) belong to FILES in their order; the table's rows are in the order of the names as
    text, as OpenFace sorts a folder. With noise, a floor at 0, two decimals, and now and then a
    frame that failed (success 0, all zeros). ROOT is the folder that the collection's readers get.
    """
    rng = np.random.default_rng(seed_of("openface", seed))
    measured = np.clip(aus * 5 + rng.normal(0, 0.04, aus.shape) * (aus > 0), 0, 5)
    failed = rng.random(len(aus)) < 0.01
    names = [f"AU{au:02d}_r" for au in AUS] + [f"AU{au:02d}_c" for au in AUS]
    lines = [", ".join(["frame", "face_id", "timestamp", "confidence", "success", *names])]
    for count, row in enumerate(sorted(range(len(files)), key=lambda row: files[row]), 1):
        values = np.zeros(len(AUS)) if failed[row] else measured[row]
        told = [f"{value:.2f}" for value in values] + [f"{value >= 1:.2f}" for value in values]
        sure = "0.03" if failed[row] else f"{rng.uniform(0.93, 0.98):.2f}"
        head = [str(count), "0", f"{(count - 1) / 30:.3f}", sure, str(int(not failed[row]))]
        lines.append(", ".join([*head, *told]))
    path = root / "openface" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(lines) + "\n")
    return path


def cast(
    subjects: int, clips: int, emotions: Mapping[str, int], *, seed: int
) -> list[tuple[int, str]]:
    """(subject from 0, emotion) of each of CLIPS: shares as in EMOTIONS, the rare ones too.

    Each emotion comes once if there is room. ValueError on fewer clips than subjects, or none.
    """
    if not 1 <= subjects <= clips:
        raise ValueError(f"{subjects} subjects, {clips} clips: give at least a clip for everybody")
    total = sum(emotions.values())
    due = dict.fromkeys(emotions, 0.0)
    order = list(emotions)
    chosen = []
    for count in range(clips):
        for emotion in order:
            due[emotion] += emotions[emotion] / total
        emotion = order[count] if count < len(order) else max(order, key=lambda name: due[name])
        due[emotion] -= 1
        chosen.append(emotion)
    # subjects in turn, so that everybody has clips; who shows what is drawn
    rng = np.random.default_rng(seed_of("cast", seed))
    shuffled = [chosen[i] for i in rng.permutation(clips)]
    return [(count % subjects, emotion) for count, emotion in enumerate(shuffled)]


def mark(root: Path, title: str, clips: Sequence[Clip], *, seed: int) -> None:
    """Write STAND-IN.txt, last of all: what this folder is, and what is to be found in it."""
    kinds = sorted({clip.kind for clip in clips})
    told = {kind: counts(clips, kind=kind) for kind in kinds}
    text = (
        f"STAND-IN for {title}. Not the collection.\n\n"
        f"Written by mie-x {__version__} with seed {seed}: rendered people, invented movements,\n"
        "in the collection's layout, so that software can be run and tested without a licence.\n"
        "No frame shows anybody. What is measured here says nothing about micro-expressions.\n\n"
        f"{json.dumps(told)}\n"
    )
    write_text(root / MARK, text)


def write_events(root: Path, events: Mapping[str, Sequence[Event]]) -> None:
    """Write STAND-IN.csv: EVENTS of every video, footage's name -> its events by frame number."""
    rows = [[video, *event] for video, own in events.items() for event in own]
    write_sheet(root / TRUTH, {"events": [["video", *Event._fields], *rows]})


def events(root: Path) -> dict[str, list[Event]]:
    """What a stand-in of people who live shows: footage's name -> its events by frame number.

    ROOT is the stand-in's folder, or in it. FileNotFoundError where no such file was written,
    ValueError where it is damaged.
    """
    path = (standin_mark(root) or root / MARK).with_name(TRUTH)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; write the stand-in with --rest SECONDS")
    told: dict[str, list[Event]] = {}
    for row in read_sheet(path, header=("video", *Event._fields)).rows:
        try:
            event = Event(row["what"], int(row["first"]), int(row["apex"]), int(row["last"]))
        except ValueError as error:
            raise ValueError(f"{path}: row {row.number}: {error}; write it again") from error
        told.setdefault(row["video"], []).append(event)
    return told


def is_standin(root: Path) -> bool:
    """Whether ROOT is a stand-in's folder, or in one."""
    return standin_mark(root) is not None


def told_counts(root: Path) -> dict[str, Any]:
    """What a stand-in says is in it, ROOT or around it: kind -> counts, ``collection.counts``."""
    path = standin_mark(root) or root / MARK
    try:
        told = json.loads(path.read_text("utf-8").splitlines()[-1])
        return {kind: _whole_numbers(of) for kind, of in told.items()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); write the stand-in again") from error


def _whole_numbers(told: dict[str, Any]) -> dict[str, Any]:
    """TOLD as ``collection.counts`` has it; TypeError or LookupError where it is not that."""
    named = {
        what: {name: index(count) for name, count in dict(told[what]).items()}
        for what in ("emotions", "labels")
    }
    by_subject = {
        name: (index(negative), index(positive), index(surprise))
        for name, (negative, positive, surprise) in dict(told["by_subject"]).items()
    }
    once = {what: index(told[what]) for what in ("clips", "subjects")}
    return {**once, **named, "by_subject": by_subject}
