"""MECIA: onset, apex and offset of a micro-expression from one labelled frame of its clip.

Wang et al., "Micro-Expression Key Frame Inference" (MECIA). A clip holds one micro-expression; a
coder labelled one frame of it, and its two end frames are taken as not of it. A network
(``mecia.MECIANet``, one for all clips) learns the labelled frames and scores all; labels grow from
frame to frame wherever neighbours are scored alike (Algorithm 2); and so on, round after round,
until every frame has a label (Algorithm 1). What is printed as ``while -1 not in y`` is read
"in": while a frame is left without a label.

``rounds`` is the algorithm alone, with any function for a network; ``infer`` gives it one. Ours:

- a round's labels are all given by the labels before it, so that the order of anchors is nothing;
- an anchor is of a micro-expression by its label, and homogeneous by the network's scores, even
  where these say something else of the anchor itself; what is labelled is passed, not changed;
- a frame that both kinds of anchors reach gets the label that its own score speaks for: all three
  scores are then on one side of 1/2, so that the network is wrong about one of the anchors;
- it ends as well when two rounds in a row give no label (what is left is then not of it). The
  paper's end, two rounds that leave the mean IoU as it is, needs the truth;
- Adam begins anew in each round, with the weights of the one before; batches of an epoch are of
  nearly equal size, so that no frame is alone in one;
- batch norms score by statistics of the frames just learned (``settle``): with the moving ones of
  ResNet-18, rounds that ended at a loss below .01 scored half of the learned frames, or more, as
  they are not labelled (one drawn clip of 32 frames, 48 px); now none;
- where identification is not learned, homogeneous is what the annotation says alone.

The apex is the paper's: the frame with the largest annotation. By then all frames found are learned
as 1, and most are scored so, however much moves in them: which score is the largest says little,
and the apex is far off for that reason. Of nine drawn clips of SAMM's stand-ins (48 px, 60 and 5
epochs) 95 % of the frames found are scored .99 or more; the mean error of the apex is .37 of the
expression's length, where the frame that was given itself is .11 off.

Random choices depend on the seed, the round, the epoch and the batch, as in ``training``: where
a computation was stopped and went on is nothing to its result.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor, nn

from mie_x.flow import Gray, gray
from mie_x.intervals import clip_iou
from mie_x.records import Frames
from mie_x.resumable import refill, save_state
from recognizers import backbones, mecia, training
from recognizers.backbones import pretrained_on
from recognizers.mecia import (
    ENOUGH,
    FIRST_ROUND_EPOCHS,
    NEUTRAL,
    SETTINGS,
    Heads,
    MECIANet,
    annotation_loss,
    contrastive_loss,
    identification_loss,
)
from recognizers.training import DROPPED, SHUFFLED, repeatable

UNLABELLED = -2
"""Of a frame that has no label yet; the others are ``NEUTRAL``, -1, or a category from 0."""

STILL = 2  # rounds in a row that change nothing, and it ends
AT_ONCE = 128  # frames that are scored together
LIBRARIES = ("numpy", "torch", "torchvision")

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Scores(NamedTuple):
    """What a network says of a clip's T frames.

    ``annotation`` (T,) float32 in [0, 1], the probability of a micro-expression; ``identification``
    (T, C) float32, the category's is the largest.
    """

    annotation: NDArray[np.float32]
    identification: NDArray[np.float32]


class Inferred(NamedTuple):
    """Frames of a clip, from 0: first, strongest and last of its micro-expression."""

    onset: int
    apex: int
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """How far it has come: a row of labels a clip, the scores behind the last of them.

    ``watched`` is what must go on changing, at the start and after each round.
    """

    labels: tuple[Labels, ...]
    watched: tuple[float, ...]
    scores: tuple[Scores, ...] = ()

    @property
    def number(self) -> int:
        """Rounds done."""
        return len(self.watched) - 1

    @property
    def ended(self) -> bool:
        """Whether every frame has a label, or nothing has changed for ``STILL`` rounds."""
        complete = not any((labels == UNLABELLED).any() for labels in self.labels)
        still = self.number >= STILL and len(set(self.watched[-STILL - 1 :])) == 1
        return self.number > 0 and (complete or still)


Predict = Callable[[State], Sequence[Scores]]
"""Learns the labels of a state and scores every frame of every clip."""

Watch = Callable[[Sequence[Labels]], float]
"""What ends the rounds when it stays the same: see ``labelled`` and ``mean_iou``."""


def samm_reach(number: int) -> int:
    """2 in rounds 1 to 5, 3 in 6 to 10, then 5: clips of 150 frames at 200 a second.

    >>> [samm_reach(number) for number in (1, 5, 6, 10, 11)]
    [2, 2, 3, 3, 5]
    """
    return 2 if number <= 5 else 3 if number <= 10 else 5


def casme_squared_reach(number: int) -> int:
    """1 in every round: clips of 27 frames at 30 a second."""
    del number
    return 1


REACHES: dict[str, Callable[[int], int]] = {"samm": samm_reach, "casme2sq": casme_squared_reach}
"""The round, from 1 -> how many frames beyond an anchor can get its label, as published."""


def begin(length: int, frame: int, category: int) -> Labels:
    """Labels of a clip of LENGTH frames: FRAME is of CATEGORY, both ends neutral, nothing else."""
    if not 0 < frame < length - 1:
        raise ValueError(
            f"frame {frame} of {length}, from 0: the ends of a clip are taken as not of the "
            "micro-expression; give a longer clip, or a frame between its ends"
        )
    labels = np.full(length, UNLABELLED)
    labels[[0, -1]] = NEUTRAL
    labels[frame] = category
    return labels


def reached(
    labels: Labels, scores: Scores, anchor: int, *, reach: int, direction: int
) -> list[int]:
    """Algorithm 2: the unlabelled frames that get the label of ANCHOR, its nearest first.

    They are at most REACH frames away in DIRECTION, -1 or 1, and connected to it: homogeneous, as
    are all between. The first that is not ends it. Homogeneous are frames with both annotations on
    one side of 1/2 (1/2 itself is below), for an anchor of a micro-expression also with the same
    category.

    >>> labels = np.array([NEUTRAL, -2, 0, -2, -2, -2, NEUTRAL])
    >>> scores = Scores(np.array([0.1, 0.7, 0.9, 0.8, 0.4, 0.9, 0.1]), np.ones((7, 1)))
    >>> reached(labels, scores, 2, reach=3, direction=1)
    [3]
    """
    side = scores.annotation > 0.5
    category = scores.identification.argmax(axis=1)
    alike: Mask = side == side[anchor]
    if labels[anchor] != NEUTRAL:
        alike &= category == category[anchor]
    found = []
    for frame in range(anchor + direction, anchor + direction * (reach + 1), direction):
        if not 0 <= frame < len(labels) or not alike[frame]:
            break
        if labels[frame] == UNLABELLED:
            found.append(frame)
    return found


def grown(labels: Labels, scores: Scores, *, reach: int) -> Labels:
    """One round in one clip: LABELS and those that ``reached`` gives, from all anchors, both ways.

    Anchors are labelled frames beside an unlabelled one.
    """
    new = labels.copy()
    without = np.pad(labels == UNLABELLED, 1)
    anchors = np.flatnonzero(~without[1:-1] & (without[:-2] | without[2:]))
    for anchor in anchors.tolist():
        for direction in (-1, 1):
            for frame in reached(labels, scores, anchor, reach=reach, direction=direction):
                spoken_for = (labels[anchor] != NEUTRAL) == (scores.annotation[frame] > 0.5)
                if spoken_for or new[frame] == UNLABELLED:
                    new[frame] = labels[anchor]
    return new


def rounds(
    start: State, predict: Predict, *, reach: Callable[[int], int], watch: Watch
) -> Iterator[State]:
    """Algorithm 1: the state after each round, from the one after START's to the last.

    There is always a first round, so that every clip has scores to find its apex by.
    """
    state = start
    while not state.ended:
        scores = tuple(predict(state))
        labels = tuple(
            grown(known, seen, reach=reach(state.number + 1))
            for known, seen in zip(state.labels, scores, strict=True)
        )
        state = State(labels, (*state.watched, watch(labels)), scores)
        yield state


def labelled(labels: Sequence[Labels]) -> float:
    """How many frames have a label: as none ever changes, the same number are the same labels."""
    return float(sum(int((of_clip != UNLABELLED).sum()) for of_clip in labels))


def mean_iou(labels: Sequence[Labels], truths: Sequence[tuple[int, int]]) -> float:
    """Mean over clips of ``iou`` with TRUTHS, onset and offset of each: what the paper watches."""
    found = []
    for of_clip, (onset, offset) in zip(labels, truths, strict=True):
        frames = np.arange(len(of_clip))
        found.append(clip_iou(of_clip > NEUTRAL, (onset <= frames) & (frames <= offset)))
    return float(np.mean(found))


def runs(of_it: Mask) -> list[tuple[int, int]]:
    """First and last frame, both included, of each stretch of true ones.

    >>> runs(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    edges = np.flatnonzero(np.diff(np.pad(of_it, 1)))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def around(frame: int, of_it: Mask, strength: ArrayLike) -> Inferred:
    """The run of OF_IT (T,) that holds FRAME, which is of it; its apex is the first strongest."""
    strengths = np.asarray(strength)
    ((onset, offset),) = [run for run in runs(of_it) if run[0] <= frame <= run[1]]
    return Inferred(onset, onset + int(strengths[onset : offset + 1].argmax()), offset)


# What MECIA has to beat


RANDOM_IOU: dict[str, Callable[[float, float], float]] = {
    "inside": lambda expression, clip: 1 / 2,
    "around": lambda expression, clip: 2 * expression / (expression + clip),
    "across": lambda expression, clip: 2 * expression / (3 * expression + clip),
}
"""IoU of a random interval by how it lies to the true one: frames of expression and of clip -> IoU.

The paper's floors are known to us as figures alone, 50.00, 66.67 and 40.00 %; these formulas are
our derivation, which gives them for clips twice as long as their centred micro-expression (75.3 of
150 frames, 13.6 of 27). L frames of it in T: what varies is taken at its middle. Inside, half of L
is found. Around, all of L and half of T - L. Across one of its ends, half of L and half of the
(T - L) / 2 beyond. The mean of an IoU is not the IoU of means (ln 2 = .693 instead of .667):
``random_iou`` is that mean, without cases.
"""


def overlap(found: Inferred, truth: tuple[int, int]) -> str:
    """How FOUND lies to TRUTH, onset and offset: a name in ``RANDOM_IOU``; equal ones are inside.

    ValueError where they do not meet: a labelled frame is in both.
    """
    onset, offset = truth
    if found.offset < onset or offset < found.onset:
        raise ValueError(f"{found.onset} to {found.offset} and {onset} to {offset} do not meet")
    if onset <= found.onset and found.offset <= offset:
        return "inside"
    return "around" if found.onset <= onset and offset <= found.offset else "across"


def random_iou(length: int, frame: int, truth: tuple[int, int]) -> float:
    """Mean IoU with TRUTH where any onset up to FRAME, any offset from it are equally likely. Ours.

    Neither is an end of the clip: MECIA, too, is told that both ends are neutral.

    >>> round(12 * random_iou(5, 2, (2, 2)))  # (1 + 1/2 + 1/2 + 1/3) / 4
    7
    """
    onset, offset = truth
    if not 1 <= onset <= frame <= offset < length - 1:
        raise ValueError(
            f"frame {frame} of {length} is not from {onset} to {offset}, between both ends"
        )
    first, last = np.arange(1, frame + 1)[:, None], np.arange(frame, length - 1)
    both = np.minimum(last, offset) - np.maximum(first, onset) + 1
    either = np.maximum(last, offset) - np.minimum(first, onset) + 1
    return float((both / either).mean())


def halfway(length: int, frame: int) -> Inferred:
    """Simple, ours, and sees no pixel: halfway from FRAME to either end of LENGTH frames.

    In a clip that is cut twice as long as the micro-expression in its middle, as MECIA's are, this
    is the truth for the frame in the middle, and near it for others: the cut tells. What does not
    beat it there has not been shown to see anything.

    >>> halfway(9, 4)
    Inferred(onset=2, apex=4, offset=6)
    """
    if not 0 <= frame < length:
        raise ValueError(f"no frame {frame} of {length}, from 0")
    return Inferred((frame + 1) // 2, frame, frame + (length - 1 - frame) // 2)


def by_threshold(strength: ArrayLike, frame: int, *, share: float = 0.5) -> Inferred:
    """Simple, ours: frames around FRAME in which as much moves, SHARE of the way from the ends.

    STRENGTH (T,) is any measure that grows with movement, as the mean length of the flow from the
    first frame. What lies at the ends, or at FRAME, is taken as measured: no truth is needed.
    """
    strengths = np.asarray(strength, np.float64)
    rest = strengths[[0, -1]].mean()
    strong = strengths >= rest + share * (strengths[frame] - rest)
    strong[frame] = True
    return around(frame, strong, strengths)


def by_difference(features: ArrayLike, frame: int) -> Inferred:
    """Simple, ours: frames around FRAME that are nearer to it than to both ends of the clip.

    FEATURES (T, D) are of any kind, pixels or a network's; near is Euclidean. The apex is farthest
    from the nearer end.
    """
    given = np.asarray(features, np.float64)
    to_frame, *to_ends = (np.linalg.norm(given - given[at], axis=1) for at in (frame, 0, -1))
    difference = np.minimum(*to_ends)
    near = to_frame < difference
    near[frame] = True
    return around(frame, near, difference)


# With MECIA-Net


@dataclass(frozen=True, slots=True, eq=False)
class MarkedClip:
    """A clip with one labelled frame.

    ``frames`` (T, S, S) uint8 grey, as ``view`` gives them; ``frame``, from 0 and not at an end, is
    of a micro-expression of ``category``, from 0.
    """

    frames: Gray
    frame: int
    category: int


class Epochs(NamedTuple):
    """At most so many in the first round and in each later one."""

    first: int
    later: int


EPOCHS = {
    "published": Epochs(FIRST_ROUND_EPOCHS, SETTINGS.epochs),
    "short": Epochs(100, 20),  # ours, for a CPU
}

LOSSES: dict[str, Callable[[Heads, Tensor], Tensor]] = {
    "A": lambda heads, labels: annotation_loss(heads.annotation, labels),
    "I": lambda heads, labels: identification_loss(heads.identification, labels),
    "C": lambda heads, labels: contrastive_loss(heads.contrast, labels),
}
MODULES = ("A", "A+I", "A+C", "A+I+C")
"""Losses that are summed: annotation, identification, contrast. The last is the whole of it."""


class Round(NamedTuple):
    """What happened in a round: reach, epochs, mean loss of the last, number of frames learned.

    ``agreed`` is the share of these that are then scored as they are labelled: below 1 where
    the epochs were too few. ``seconds`` are those in which it learned and scored.
    """

    reach: int
    epochs: int
    loss: float
    frames: int
    agreed: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """What was inferred of each clip, the labels and scores behind it, a row a round.

    No frame is left without a label. NETWORK is on the CPU, in eval mode.
    """

    inferred: tuple[Inferred, ...]
    labels: tuple[Labels, ...]
    scores: tuple[Scores, ...]
    log: tuple[Round, ...]
    network: nn.Module


def view(frames: Frames, *, size: int = 224) -> Gray:
    """What MECIA-Net sees of a clip: square (T, H, H, 3) uint8 RGB -> (T, SIZE, SIZE) uint8 grey.

    224 is the published size.
    """
    if frames.ndim != 4 or frames.shape[1] != frames.shape[2]:
        raise ValueError(f"frames are square, (T, H, H, 3), not {frames.shape}: crop the face")
    images = (Image.fromarray(frame) for frame in gray(frames))
    bilinear = Image.Resampling.BILINEAR
    return np.stack([np.asarray(image.resize((size, size), bilinear)) for image in images])


def infer(
    clips: Sequence[MarkedClip],
    *,
    classes: int,
    seed: int,
    reach: str,
    build: Callable[..., Any] = MECIANet,
    modules: str = "A+I+C",
    epochs: Epochs = EPOCHS["published"],
    enough: float = ENOUGH,
    rate: float = SETTINGS.rate,
    batch: int = SETTINGS.batch,
    truths: Sequence[tuple[int, int]] | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Inference:
    """Find the key frames of all CLIPS, in frames of one size, with one network.

    ``BUILD(classes=CLASSES)`` makes it, a module whose ``heads`` are as ``MECIANet.heads``:
    ``functools.partial(MECIANet, backbone="alexnet")``. REACH is one of ``REACHES``, MODULES one
    of ``MODULES``. A round ends after its EPOCHS, or with a mean loss below ENOUGH. With TRUTHS,
    onset and offset of each clip, the rounds end as the paper's do: for comparison alone, as who
    has to infer them cannot.

    CHECKPOINT is written after every round; where it is there it goes on from it. PROGRESS is told
    (frames with a label, all frames) at the start and after every round. ValueError for clips,
    options or a checkpoint that do not go together, and a loss that is not a number.
    """
    _check(clips, classes, truths)
    for of, name, known in (("modules", modules, MODULES), ("reach", reach, tuple(REACHES))):
        if name not in known:
            raise ValueError(f"{of} {name!r}: choose from {', '.join(known)}")
    if min(epochs) < 1 or batch < 3:
        raise ValueError(f"{epochs} epochs of batches of {batch}: at least 1, of 3")
    watch = labelled if truths is None else functools.partial(mean_iou, truths=truths)
    labels = tuple(begin(len(clip.frames), clip.frame, clip.category) for clip in clips)
    lengths = [len(of_clip) for of_clip in labels]
    losses = [LOSSES[module] for module in modules.split("+")]
    log: list[Round] = []
    with repeatable(device):
        torch.manual_seed(seed)
        network = build(classes=classes)
        told = {
            "seed": seed, "classes": classes, "reach": reach, "modules": modules, "epochs": epochs,
            "enough": enough, "rate": rate, "batch": batch, "truths": truths,
            "network": type(network).__name__, "pretrained on": pretrained_on(network),
            "clips": _fingerprint(clips), "device": torch.device(device).type,
            "code_sha256": _code_sha256(), "libraries": {name: version(name) for name in LIBRARIES},
        }  # fmt: skip
        network.to(device)
        frames = torch.from_numpy(np.concatenate([clip.frames for clip in clips])).to(device)
        start = State(labels, (watch(labels),))
        if checkpoint is not None and checkpoint.exists():
            start, log = _resumed(checkpoint, network, start, modules, classes, told)

        def predict(state: State) -> Sequence[Scores]:
            began = time.perf_counter()
            known = torch.from_numpy(np.concatenate(state.labels)).to(device)
            given = known != UNLABELLED
            number = state.number + 1
            done, loss = learn(
                network, frames[given], known[given], losses,
                epochs=epochs.first if number == 1 else epochs.later,
                enough=enough, rate=rate, batch=batch, seed=seed, number=number,
            )  # fmt: skip
            scores = scored(network, frames, lengths, identified="I" in modules)
            agreed = _agreed(state.labels, scores)
            seconds = round(time.perf_counter() - began, 3)
            log.append(Round(REACHES[reach](number), done, loss, int(given.sum()), agreed, seconds))
            return scores

        if progress is not None:
            progress(int(labelled(start.labels)), len(frames))
        state = start
        for state in rounds(start, predict, reach=REACHES[reach], watch=watch):
            if checkpoint is not None:
                _save(checkpoint, network, state, log, told)
            if progress is not None:
                progress(int(labelled(state.labels)), len(frames))
    return Inference(
        inferred=tuple(
            around(clip.frame, of_clip > NEUTRAL, scores.annotation)
            for clip, of_clip, scores in zip(clips, state.labels, state.scores, strict=True)
        ),
        labels=tuple(np.maximum(of_clip, NEUTRAL) for of_clip in state.labels),
        scores=state.scores,
        log=tuple(log),
        network=network.cpu().eval(),
    )


def learn(
    network: Any,
    frames: Tensor,
    labels: Tensor,
    losses: Sequence[Callable[[Heads, Tensor], Tensor]],
    *,
    epochs: int,
    enough: float,
    rate: float,
    batch: int,
    seed: int,
    number: int,
) -> tuple[int, float]:
    """Train NETWORK in round NUMBER; epochs done, mean loss of the last.

    FRAMES (N, S, S) uint8 and their LABELS (N,) int64, none of them ``UNLABELLED``.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    network.train()
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([SHUFFLED, seed, number, epoch]).permutation(len(labels))
        total = torch.zeros((), device=labels.device)
        for step, part in enumerate(np.array_split(order, -(-len(order) // batch))):
            draws = np.random.default_rng([DROPPED, seed, number, epoch, step])
            torch.manual_seed(int(draws.integers(2**63)))
            chosen = torch.from_numpy(part).to(labels.device)
            heads = network.heads(_seen(frames[chosen]))
            loss = torch.stack([each(heads, labels[chosen]) for each in losses]).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.detach() * len(part)
        mean = total.item() / len(labels)
        if not np.isfinite(mean):
            raise ValueError(
                f"the loss of round {number}, epoch {epoch} is {mean}: take a lower rate"
            )
        if mean < enough:
            break
    settle(network, frames, batch=batch)
    return epoch, mean


def settle(network: Any, frames: Tensor, *, batch: int) -> None:
    """Set the statistics of NETWORK's batch norms to those of FRAMES, which it has learned.

    The mean over batches of nearly equal size. Their own moving ones are far behind after the few
    steps of a round that ends early.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    network.train()
    with torch.no_grad():
        for part in frames.tensor_split(-(-len(frames) // batch)):
            network.heads(_seen(part))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def scored(
    network: Any, frames: Tensor, lengths: Sequence[int], *, identified: bool
) -> tuple[Scores, ...]:
    """What NETWORK, in eval mode, says of all FRAMES (N, S, S) uint8, of clips of these LENGTHS.

    Without IDENTIFIED, the layer was never trained, and there is one category.
    """
    network.eval()
    annotation, identification = [], []
    with torch.inference_mode():
        for first in range(0, len(frames), AT_ONCE):
            heads = network.heads(_seen(frames[first : first + AT_ONCE]))
            annotation.append(heads.annotation.sigmoid().cpu())
            identification.append(heads.identification.softmax(dim=1).cpu())
    probabilities = torch.cat(annotation).numpy()
    categories = torch.cat(identification).numpy() if identified else np.ones((len(frames), 1))
    ends = np.cumsum(lengths)[:-1]
    return tuple(
        Scores(of_frames, of_categories)
        for of_frames, of_categories in zip(
            np.split(probabilities, ends),
            np.split(categories.astype(np.float32), ends),
            strict=True,
        )
    )


def _agreed(labels: Sequence[Labels], scores: Sequence[Scores]) -> float:
    known = np.concatenate(labels)
    of_expression = np.concatenate([of_clip.annotation for of_clip in scores]) > 0.5
    return float(((known > NEUTRAL) == of_expression)[known != UNLABELLED].mean())


def _seen(frames: Tensor) -> Tensor:
    """(N, S, S) uint8 grey -> (N, 3, S, S) float32 in [-1, 1], the same thrice."""
    return (frames.float() / 127.5 - 1)[:, None].expand(-1, 3, -1, -1)


def _check(
    clips: Sequence[MarkedClip], classes: int, truths: Sequence[tuple[int, int]] | None
) -> None:
    if not clips:
        raise ValueError("no clips: there is nothing to infer from")
    size = clips[0].frames.shape[1:]
    for index, clip in enumerate(clips):
        shape = clip.frames.shape
        if clip.frames.dtype != np.uint8 or len(shape) != 3 or shape[1:] != size:
            raise ValueError(
                f"clip {index}: frames are (T, S, S) uint8 of one size, as view() makes them, not "
                f"{shape} {clip.frames.dtype}"
            )
        if not 0 <= clip.category < classes:
            raise ValueError(f"clip {index}: category {clip.category}, but 0 to {classes - 1}")
    if truths is not None and len(truths) != len(clips):
        raise ValueError(f"{len(truths)} truths for {len(clips)} clips: one each")


def _fingerprint(clips: Sequence[MarkedClip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.frames.shape} {clip.frame} {clip.category}".encode())
        digest.update(clip.frames.tobytes())
    return digest.hexdigest()


@functools.cache
def _code_sha256() -> str:
    """Of our modules that decide what is inferred, beside the network that is built."""
    own = (backbones, mecia, training, sys.modules[__name__])
    return hashlib.sha256("".join(map(inspect.getsource, own)).encode()).hexdigest()


def _save(
    path: Path, network: nn.Module, state: State, log: Sequence[Round], told: dict[str, Any]
) -> None:
    progress = {"watched": state.watched, "log": log}
    save_state(path, _tensors(network, state), settings=told, progress=progress)


def _tensors(network: nn.Module, state: State) -> dict[str, Tensor]:
    """Name -> the very tensors of NETWORK, and those that share memory with STATE's arrays."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, (labels, scores) in enumerate(zip(state.labels, state.scores, strict=True)):
        tensors |= {
            f"{index}.labels": torch.from_numpy(labels),
            f"{index}.annotation": torch.from_numpy(scores.annotation),
            f"{index}.identification": torch.from_numpy(scores.identification),
        }
    return tensors


def _resumed(
    path: Path,
    network: nn.Module,
    start: State,
    modules: str,
    classes: int,
    told: dict[str, Any],
) -> tuple[State, list[Round]]:
    """The state and log in PATH, whose weights are put into NETWORK."""
    columns = classes if "I" in modules else 1
    scores = tuple(
        Scores(np.empty(len(labels), np.float32), np.empty((len(labels), columns), np.float32))
        for labels in start.labels
    )
    labels = tuple(labels.copy() for labels in start.labels)
    found = State(labels, start.watched, scores)
    progress = refill(path, _tensors(network, found), settings=told)
    log = [Round(*row) for row in progress["log"]]
    return State(labels, tuple(progress["watched"]), scores), log
