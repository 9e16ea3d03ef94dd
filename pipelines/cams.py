"""Where a recognizer looked: onset, apex, and the apex under the Grad-CAM of the answer.

One clip (``triptych``), or a sheet of those that a recognizer is surest of, class by class, right
and wrong (``draw``). A map lies on what the network was shown of the apex: its trunks see the
middle of the face, flow is of the whole of it, MEAN's of brows, eyes and mouth alone. Of a network
that looks at several pictures the last map counts: that of the apex (Branches), or of the longer
sequence (DTSCNN).

A map tells where what speaks for the answer was seen, not that it is there: a blink, a head that
turned and light that changed are seen as well.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from mie_x.faces.detection import TEMPLATE
from mie_x.records import LABELS, Frames
from mie_x.report import STAND_IN
from mie_x.whole import whole
from pipelines.views import Seen
from recognizers import training, views
from recognizers.grad_cam import grad_cam, overlay
from recognizers.training import Fitted
from recognizers.weights import Loaded

SIDE = 128  # px of each of the three pictures on a sheet
LINE = 15  # px of a line of words
GAP = 8


def _face(frames: Frames) -> Frames:
    return frames


def _parts(frames: Frames) -> Frames:
    """Brows, eyes and mouth, as MEAN's maps of flow are cut: (T, 42, 42, 3) uint8."""
    points = views.five_to_68(TEMPLATE)
    cut = [views.mean_roi(f.transpose(2, 0, 1).astype(np.float32), points) for f in frames]
    return np.rint(cut).astype(np.uint8).transpose(0, 2, 3, 1)


SHOWN: dict[str, Callable[[Frames], Frames]] = {
    "apex": views.augment,
    "onset_apex": views.augment,
    "onset_apex_gray": views.augment,
    "flow_hsv": views.augment,
    "flow_28": _face,
    "mean_roi": _parts,
    "flow_sequence_10": _face,
    "flow_sequence_64": _face,
    "flow_sequence_128": _face,
}
"""A network's view -> the part of aligned frames (T, 128, 128, 3) uint8 that its map lies on."""


def network_of(fitted: Fitted) -> torch.nn.Module:
    """FITTED's network; ValueError where it is an SVM, which has no map."""
    if not isinstance(fitted.network, torch.nn.Module):
        raise ValueError(
            f"{fitted.recognizer} is an SVM, which has no Grad-CAM; give weights of a network"
        )
    return fitted.network


def triptych(fitted: Fitted, seen: Seen, index: int, label: int, *, side: int = SIDE) -> Frames:
    """Onset, apex, apex under what speaks for LABEL, of one sample: (side, 3 side, 3) uint8.

    ValueError for a flow picture, of which there are no frames.
    """
    inputs = tuple(torch.from_numpy(view) for view in seen.inputs(index, None))
    heat = grad_cam(network_of(fitted), inputs, label)[-1]
    ends = SHOWN[seen.views[0]](seen.examples[index].frames[[0, -1]])
    onset, apex = (
        np.asarray(Image.fromarray(end).resize((side, side), Image.Resampling.BICUBIC))
        for end in ends
    )
    return np.concatenate([onset, apex, overlay(apex, heat)], axis=1)


def captioned(picture: Frames, lines: Sequence[str]) -> Frames:
    """PICTURE with words under it, a line each, on white; what is too long is cut."""
    height, width, _ = picture.shape
    made = Image.new("RGB", (width, height + LINE * len(lines) + 4), "white")
    made.paste(Image.fromarray(picture), (0, 0))
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(11)
    for number, line in enumerate(lines):
        while line and draw.textlength(line, font) > width - 4:
            line = line[:-1]
        draw.text((2, height + 2 + LINE * number), line, "black", font)
    return np.asarray(made)


class Group(NamedTuple):
    """Samples that are truly of a class, named right or wrong, the surest first."""

    label: int
    right: bool
    rows: list[int]


def chosen(scores: ArrayLike, labels: ArrayLike, *, count: int) -> list[Group]:
    """The COUNT surest answers, right and wrong, of each class of scores (N, C), labels (N,).

    How sure an answer is says its own score; of equals the first comes first.
    """
    given, truth = np.asarray(scores), np.asarray(labels)
    answers, order = given.argmax(axis=1), np.argsort(-given.max(axis=1), kind="stable")
    groups = []
    for label in range(given.shape[1]):
        for right in (True, False):
            mask = (truth == label) & ((answers == truth) == right)
            groups.append(Group(label, right, order[mask[order]][:count].tolist()))
    return groups


def sheet(loaded: Loaded, name: str, seen: Seen, *, count: int = 3) -> Frames:
    """The surest answers of LOADED about SEEN, which is called NAME, with their maps; RGB uint8.

    COUNT right and COUNT wrong ones a class, each with the map of what was answered. Whether these
    people were learned from is not known here: what the weights have seen stands in the title.
    ValueError for an SVM, for flow pictures, and for classes that are not those of the examples.
    """
    network_of(loaded.fitted)
    classes = loaded.fitted.classes
    if classes != tuple(LABELS):
        raise ValueError(
            f"these weights tell {', '.join(classes)}, the examples {', '.join(LABELS)}"
        )
    scores = training.predict(loaded.fitted, seen)
    width = count * (3 * SIDE + GAP) - GAP
    strips = [_words(_title(loaded, name, seen), width)]
    for label, right, rows in chosen(scores, seen.labels, count=count):
        total = int(((scores.argmax(axis=1) == seen.labels) == right)[seen.labels == label].sum())
        said = f"{classes[label]}, named {'right' if right else 'wrong'}: {total}"
        strips.append(_words(said, width))
        if rows:
            strips.append(_row([_panel(loaded, seen, row, scores[row]) for row in rows], width))
    return np.concatenate(strips)


def draw(loaded: Loaded, name: str, seen: Seen, out: Path, *, count: int = 3) -> Path:
    """Write ``sheet`` as a PNG file."""
    return write(sheet(loaded, name, seen, count=count), out)


def write(picture: Frames, out: Path) -> Path:
    """Write (H, W, 3) uint8 RGB to OUT, PNG whatever its name."""
    with whole(out) as unfinished:
        Image.fromarray(picture).save(unfinished, "PNG")
    return out


def _title(loaded: Loaded, name: str, seen: Seen) -> str:
    stand_in = loaded.stand_in or any(example.stand_in for example in seen.examples)
    told = f"{loaded.fitted.recognizer} on {name}; learned from {loaded.trained_on}. "
    told += "Onset, apex, Grad-CAM of the answer; the surest first."
    return f"{STAND_IN}: {told}" if stand_in else told


def _panel(loaded: Loaded, seen: Seen, row: int, scores: NDArray[np.float32]) -> Frames:
    answer = int(scores.argmax())
    said = f"{loaded.fitted.classes[answer]} {scores[answer]:.2f}"
    return captioned(
        triptych(loaded.fitted, seen, row, answer), [f"{said}   {seen.examples[row].key}"]
    )


def _row(panels: Sequence[Frames], width: int) -> Frames:
    """PANELS beside one another on white."""
    strip = np.full((panels[0].shape[0], width, 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        left = place * (3 * SIDE + GAP)
        strip[:, left : left + panel.shape[1]] = panel
    return strip


def _words(text: str, width: int) -> Frames:
    lines = textwrap.wrap(text, width // 6)  # a letter is some 6 px wide
    return captioned(np.full((GAP, width, 3), 255, np.uint8), lines)
