"""What a recognizer says of one clip, and where it looked: ``mie-x predict``.

The clip is two pictures, onset and apex, or a video or a folder of frames. It goes the way of the
clips that are trained on: the face is found on the onset frame and framed alike to the apex
(``mie_x.faces.aligned``), the views are ``pipelines.views``'. Nothing of it is kept.

Ours: where nobody says which frame is the apex, it is the one of the largest mean optical strain
about brows, eyes and mouth, of its flow from the onset (``most_strained``). A blink strains more
than most micro-expressions: so which frame was taken is told.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mie_x.datasets.footage import Pictures, Unreadable, Video, footage_at
from mie_x.faces.aligned import Alignment, aligned, find_alignment
from mie_x.faces.detection import TEMPLATE
from mie_x.flow import FLOWS, gray, resized, strain
from mie_x.records import SIZE, Frames
from mie_x.report import STAND_IN
from pipelines import cams
from pipelines.evaluate import views_of
from pipelines.examples import MOST, Example, Read, Rows
from pipelines.pretrain import of_training
from pipelines.views import Recipe, look
from recognizers import training, weights
from recognizers.views import five_to_68, mean_roi

SEARCHED = 200
"""Frames that an apex is looked for in, at most: a second at 200 fps, twice the longest
micro-expression, and a minute of TV-L1."""

DRAWN = 256  # px of each picture that is drawn


@dataclass(frozen=True)
class Answer:
    """What was said of a clip, JSON-able.

    ``scores`` are the softmax of a network, by class, the largest first; they are no probabilities.
    An SVM gives 1 to one class. ``onset`` and ``apex`` are frame numbers, of two pictures 1 and 2;
    ``apex_from`` is "given", or "strain" where it was looked for. ``faces`` were found on the onset
    frame, of which the largest was taken. ``trained_on`` and ``stand_in`` are the weights'.
    """

    recognizer: str
    weights_sha256: str
    trained_on: str
    stand_in: bool
    clip: str
    onset: int
    apex: int
    apex_from: str
    faces: int
    scores: dict[str, float]

    def remarks(self) -> Iterator[str]:
        """What to know before believing it, a sentence each."""
        learned = f"{self.recognizer}, learned from {self.trained_on}"
        yield f"{learned}: {STAND_IN}" if self.stand_in else learned
        if self.faces > 1:
            yield f"{self.clip}: {self.faces} faces on the onset frame, the largest is taken"
        if self.apex_from == "strain":
            yield (
                f"{self.clip}: frame {self.apex} is taken for the apex, where strain from onset "
                f"frame {self.onset} is largest; --apex says another"
            )


def predict(
    file: Path,
    given: Sequence[Path],
    *,
    onset: int | None,
    apex: int | None,
    flow: str | None,
    picture: Path | None,
    progress: Callable[[int, int], None] | None = None,
) -> Answer:
    """Ask the weights FILE about the clip GIVEN: two pictures, a video, or a folder of pictures.

    ONSET and APEX are frame numbers of a video (from 1) or of a folder (those in the files' names):
    by default the first frame, and the one that ``most_strained`` finds, of which PROGRESS is told.
    FLOW is that of the training; None: as the weights tell. PICTURE is written as PNG: onset,
    apex, Grad-CAM. ValueError, with the path, where the clip cannot be used.
    """
    loaded = weights.load(file)
    if loaded.spotter is not None and not loaded.spotter.recognizes:
        raise ValueError(f"{file}: learned to spot and not to tell emotions; see mie-x spot")
    fitted, flow = loaded.fitted, of_training(loaded, flow)
    if picture is not None:
        cams.network_of(fitted)
    footage, onset, apex = _clip(given, onset, apex)
    rise, alignment, frames = _framed(footage, onset, apex)
    if apex is None:
        found = most_strained(frames, flow=flow, progress=progress)
        rise, frames = thinned(rise[: found + 1]), frames[thinned(range(found + 1))]
    pool = Framed(frames)
    example = Example(
        key=footage.name, origin=None, source="given", subject="", label=-1, kind="micro",
        stand_in=False, pool=pool, row=0,
    )  # fmt: skip
    wanted = views_of(fitted.recognizer)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        seen = look([example], wanted, recipe=Recipe(flow), cache=Path(folder))
        (scores,) = training.predict(fitted, seen).tolist()
        order = sorted(range(len(scores)), key=lambda label: -scores[label])
        answer = Answer(
            recognizer=fitted.recognizer,
            weights_sha256=loaded.sha256,
            trained_on=loaded.trained_on,
            stand_in=loaded.stand_in,
            clip=footage.name,
            onset=rise[0],
            apex=rise[-1],
            apex_from="strain" if apex is None else "given",
            faces=alignment.faces,
            scores={fitted.classes[label]: round(scores[label], 6) for label in order},
        )
        if picture is not None:
            drawn = cams.triptych(fitted, seen, 0, order[0], side=DRAWN)
            cams.write(cams.captioned(drawn, _caption(answer)), picture)
    return answer


def most_strained(
    frames: Frames, *, flow: str, progress: Callable[[int, int], None] | None = None
) -> int:
    """Which of (T, 128, 128, 3) uint8, T >= 2, is strained most against the first; of equals the
    first such.

    Strain is that of the flow shrunk to 28 x 28 px, where noise has met its like; its mean is over
    what MEAN cuts out. On 14 clips of a stand-in of MEGC 2019 (sensor noise, JPEG, heads that
    sway) its apex lay .05 of the clip's length from the true one; that of the mean strain of all
    of the flow at 128 px .31, the middle frame .08. PROGRESS is told frames done and all.
    """
    onset, *later = gray(frames)
    points = five_to_68(TEMPLATE)
    strains = []
    for view in later:
        coarse = strain(resized(FLOWS[flow](onset, view), (28, 28)))
        strains.append(float(mean_roi(resized(coarse[None], (SIZE, SIZE)), points).mean()))
        if progress is not None:
            progress(len(strains), len(later))
    return 1 + int(np.argmax(strains))


@dataclass(frozen=True, eq=False)
class Framed:
    """One clip as a pool (``pipelines.examples.Pool``): its framed frames, onset to apex."""

    frames: Frames
    gives = "frames"
    on_template = True

    @cached_property
    def lengths(self) -> Rows:
        return np.array([len(self.frames)], np.int64)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.frames.tobytes()).hexdigest()

    def parts(self, rows: Sequence[int], *, ends: bool) -> Iterator[Callable[[], Iterator[Read]]]:
        shown = self.frames[[0, -1]] if ends else self.frames
        for row in rows:
            yield functools.partial(iter, [(row, shown)])


def _clip(
    given: Sequence[Path], onset: int | None, apex: int | None
) -> tuple[Pictures | Video, int, int | None]:
    """The footage, its onset, and its apex where that is told."""
    if len(given) == 2:
        if onset is not None or apex is not None:
            raise ValueError("--onset and --apex are frame numbers of a clip; give that instead")
        name = " and ".join(map(str, given))
        return Pictures(name, Path(), {1: str(given[0]), 2: str(given[1])}), 1, 2
    if len(given) != 1:
        raise ValueError("give two pictures, onset and apex, or one video or folder of frames")
    (path,) = given
    footage = footage_at(path, str(path))
    numbers = footage.numbers
    if len(numbers) < 2:
        raise ValueError(
            f"{path}: {len(numbers)} frames, pictures with a number in their names; "
            "a clip has two at least"
        )
    onset = numbers[0] if onset is None else onset
    for option, number in (("--onset", onset), ("--apex", apex)):
        if number is not None and number not in numbers:
            raise ValueError(
                f"{path}: no frame {number} for {option}; there are {numbers[0]} to {numbers[-1]}"
            )
    if apex is not None and apex <= onset:
        raise ValueError(f"{path}: apex {apex} does not come after onset {onset}; see --onset")
    if onset == numbers[-1]:
        raise ValueError(f"{path}: onset {onset} is the last frame; nothing can move after it")
    return footage, onset, apex


def _framed(
    footage: Pictures | Video, onset: int, apex: int | None
) -> tuple[Sequence[int], Alignment, Frames]:
    """The frames from ONSET to APEX, or to the end: numbers, where the face is, (T, 128, 128, 3).

    Those to a known apex are thinned as in training.
    """
    last = footage.numbers[-1] if apex is None else apex
    rise: Sequence[int] = [n for n in footage.numbers if onset <= n <= last]
    if apex is not None:
        rise = thinned(rise)
    elif len(rise) > SEARCHED:
        raise ValueError(
            f"{footage.name}: {len(rise)} frames are too many to look for an apex in; "
            f"give --apex, or a clip of at most {SEARCHED} frames from its onset"
        )
    try:
        frames = footage.frames(rise)
        first = next(frames)
        alignment = find_alignment(first)
        return rise, alignment, aligned(itertools.chain([first], frames), alignment)
    except Unreadable:  # names its file
        raise
    except KeyError as error:  # a video that is shorter than it says
        raise ValueError(error.args[0]) from error
    except ValueError as error:
        raise ValueError(f"{footage.name}: {error}") from error


def thinned(rise: Sequence[int]) -> list[int]:
    """At most ``MOST`` of them, at equal steps, both ends included: as of clips in training."""
    count = min(MOST, len(rise))
    return [rise[at] for at in np.linspace(0, len(rise) - 1, count).round().astype(int)]


def _caption(answer: Answer) -> list[str]:
    scores = ", ".join(f"{name} {score:.3f}" for name, score in answer.scores.items())
    lines = [
        f"onset (frame {answer.onset}), apex (frame {answer.apex}), Grad-CAM of the first answer",
        f"{answer.recognizer}: {scores}",
        f"learned from {answer.trained_on}",
    ]
    return [*lines, STAND_IN] if answer.stand_in else lines
