"""One labelled frame grows to onset, apex and offset: by hand, with an oracle, with a network."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from mie_x.intervals import clip_iou
from mie_x.resumable import ENTRY, save_state
from recognizers.key_frames import (
    EPOCHS,
    MODULES,
    RANDOM_IOU,
    REACHES,
    STILL,
    UNLABELLED,
    Epochs,
    Inference,
    Inferred,
    Labels,
    MarkedClip,
    Round,
    Scores,
    State,
    around,
    begin,
    by_difference,
    by_threshold,
    grown,
    halfway,
    infer,
    labelled,
    mean_iou,
    overlap,
    random_iou,
    reached,
    rounds,
    settle,
    view,
)
from recognizers.mecia import NEUTRAL, Heads, MECIANet

N, U = NEUTRAL, UNLABELLED


def said(annotation: Sequence[float], categories: Sequence[int] | None = None) -> Scores:
    """Scores of a clip whose frames look like these CATEGORIES, of 4; all alike without."""
    seen = np.zeros(len(annotation), int) if categories is None else np.array(categories)
    return Scores(np.array(annotation, np.float32), np.eye(4, dtype=np.float32)[seen])


# Algorithm 2


def test_the_first_frame_that_is_not_alike_ends_the_run_though_others_beyond_it_are() -> None:
    labels = np.array([N, U, U, U, 0, U, U, U, N])
    scores = said([0.1, 0.2, 0.9, 0.8, 0.9, 0.7, 0.4, 0.9, 0.1])
    assert reached(labels, scores, 4, reach=3, direction=1) == [5]
    assert reached(labels, scores, 4, reach=3, direction=-1) == [3, 2]


def test_no_run_is_longer_than_the_reach_or_leaves_the_clip() -> None:
    labels = np.array([U, U, 0, U, U, U])
    scores = said([0.9] * 6)
    assert reached(labels, scores, 2, reach=2, direction=1) == [3, 4]
    assert reached(labels, scores, 2, reach=9, direction=1) == [3, 4, 5]
    assert reached(labels, scores, 2, reach=9, direction=-1) == [1, 0]


def test_one_half_is_not_of_a_micro_expression() -> None:
    labels = np.array([N, U, U, 0])
    scores = said([0.1, 0.5, 0.501, 0.9])
    assert reached(labels, scores, 0, reach=2, direction=1) == [1]
    assert reached(labels, scores, 3, reach=2, direction=-1) == [2]


def test_another_category_ends_a_run_from_a_micro_expression_and_not_a_neutral_one() -> None:
    labels = np.array([2, U, U, U])
    assert reached(labels, said([0.9] * 4, [2, 2, 1, 2]), 0, reach=3, direction=1) == [1]
    labels[0] = N
    assert reached(labels, said([0.1] * 4, [2, 2, 1, 2]), 0, reach=3, direction=1) == [1, 2, 3]


def test_what_is_labelled_already_is_passed_and_counts_for_the_reach() -> None:
    labels = np.array([N, U, 0, 0, U, U])
    scores = said([0.1, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert reached(labels, scores, 2, reach=2, direction=1) == [4]
    scores.annotation[3] = 0.3  # labelled, and yet not alike by the network
    assert reached(labels, scores, 2, reach=2, direction=1) == []


# Algorithm 1


def test_a_clip_begins_with_one_frame_of_a_category_and_two_neutral_ends() -> None:
    assert begin(5, 2, 3).tolist() == [N, U, 3, U, N]


@pytest.mark.parametrize("frame", [-1, 0, 4, 5])
def test_an_end_of_a_clip_cannot_be_of_the_micro_expression(frame: int) -> None:
    with pytest.raises(ValueError, match=rf"frame {frame} of 5, .* give a longer clip"):
        begin(5, frame, 0)


def test_a_round_gives_labels_from_the_labels_before_it_both_ways() -> None:
    labels = np.array([N, U, U, U, 1, U, U, U, N])
    scores = said([0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1])
    once = grown(labels, scores, reach=1)
    assert once.tolist() == [N, N, U, 1, 1, 1, U, U, N]
    assert grown(once, scores, reach=1).tolist() == [N, N, N, 1, 1, 1, 1, U, N]
    assert labels.tolist() == [N, U, U, U, 1, U, U, U, N]


def test_only_labelled_frames_beside_an_unlabelled_one_are_anchors() -> None:
    labels = np.array([N, N, N, U, U, U])
    scores = said([0.1, 0.1, 0.9, 0.1, 0.1, 0.1])  # frame 2 is an anchor, and none is like it
    assert grown(labels, scores, reach=3).tolist() == labels.tolist()


@pytest.mark.parametrize(("annotation", "label"), [(0.2, N), (0.8, 3)])
def test_what_both_kinds_of_anchors_reach_gets_the_label_its_own_score_speaks_for(
    annotation: float, label: int
) -> None:
    labels = np.array([N, U, 3, U, N])
    for row in (labels, labels[::-1].copy()):
        grown_to = grown(row, said([annotation] * 5), reach=1)
        assert grown_to.tolist() == [N, label, 3, label, N]


def oracle(truths: Sequence[tuple[int, int]]) -> Callable[[State], list[Scores]]:
    """Knows all frames of all clips, whatever is labelled."""

    def predict(state: State) -> list[Scores]:
        found = []
        for labels, (onset, offset) in zip(state.labels, truths, strict=True):
            frames = np.arange(len(labels))
            inside = (onset <= frames) & (frames <= offset)
            found.append(said(np.where(inside, 0.9, 0.1).tolist(), (2 * inside).tolist()))
        return found

    return predict


def run(
    start: Sequence[Labels], predict: Callable[[State], Sequence[Scores]], reach: str
) -> list[State]:
    """The start, and the state after each round."""
    first = State(tuple(start), (labelled(start),))
    return [first, *rounds(first, predict, reach=REACHES[reach], watch=labelled)]


@st.composite
def marked(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Frames of a clip, onset, a frame of the micro-expression, offset; neutral at both ends."""
    onset, frame, offset, end = np.cumsum(
        [draw(st.integers(least, 12)) for least in (1, 0, 0, 1)]
    ).tolist()
    return end + 1, onset, frame, offset


@given(clips=st.lists(marked(), min_size=1, max_size=3), reach=st.sampled_from(sorted(REACHES)))
def test_with_an_oracle_for_a_network_the_truth_is_found(
    clips: list[tuple[int, int, int, int]], reach: str
) -> None:
    truths = [(onset, offset) for _, onset, _, offset in clips]
    start = [begin(length, frame, 2) for length, _, frame, _ in clips]
    *_, last = run(start, oracle(truths), reach)
    for (length, onset, frame, offset), labels, scores in zip(
        clips, last.labels, last.scores, strict=True
    ):
        expected = np.full(length, N)
        expected[onset : offset + 1] = 2
        assert labels.tolist() == expected.tolist()
        found = around(frame, labels > N, scores.annotation)
        assert (found.onset, found.offset) == (onset, offset)
    assert mean_iou(last.labels, truths) == 1


@given(
    clip=marked(),
    seed=st.integers(0, 2**32 - 1),
    categories=st.integers(1, 4),
    reach=st.sampled_from(sorted(REACHES)),
)
def test_whatever_a_network_says_labels_stay_rounds_add_or_end_and_the_frame_is_inside(
    clip: tuple[int, int, int, int], seed: int, categories: int, reach: str
) -> None:
    length, _, frame, _ = clip
    rng = np.random.default_rng(seed)

    def noisy(state: State) -> list[Scores]:
        return [
            said(
                rng.random(len(labels)).tolist(), rng.integers(0, categories, len(labels)).tolist()
            )
            for labels in state.labels
        ]

    states = run([begin(length, frame, 1)], noisy, reach)
    idle = 0
    for before, after in itertools.pairwise(states):
        (one,), (other,) = before.labels, after.labels
        assert (one[one != U] == other[one != U]).all()
        idle = 0 if (other != U).sum() > (one != U).sum() else idle + 1
        assert idle < STILL or after is states[-1]
    last = states[-1]
    (labels,), (scores,) = last.labels, last.scores
    assert idle == STILL or (labels != U).all()
    assert set(labels.tolist()) <= {N, 1, U}
    assert labels[[0, -1]].tolist() == [N, N]
    found = around(frame, labels > N, scores.annotation)
    assert found.onset <= found.apex <= found.offset
    assert found.onset <= frame <= found.offset
    assert scores.annotation[found.apex] == scores.annotation[found.onset : found.offset + 1].max()


def test_two_rounds_that_give_no_label_end_it_and_one_does_not() -> None:
    undecided = said([0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1])
    decided = said([0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1])
    start = [np.array([N, U, U, 0, U, U, N])]

    def predict(state: State) -> list[Scores]:
        return [decided if state.number == 1 else undecided]

    states = run(start, predict, "casme2sq")
    assert [state.number for state in states] == [0, 1, 2]
    assert states[1].labels[0].tolist() == start[0].tolist()
    assert states[2].labels[0].tolist() == [N, N, 0, 0, 0, N, N]
    stuck = run(start, lambda state: [undecided], "casme2sq")
    assert [state.watched[-1] for state in stuck] == [3, 3, 3]
    assert (stuck[-1].labels[0] == U).sum() == 4


def test_the_paper_s_end_needs_the_truth_and_may_come_while_labels_still_grow() -> None:
    truths = [(7, 8)]
    start = (begin(16, 7, 2),)
    watch = functools.partial(mean_iou, truths=truths)
    first = State(start, (watch(start),))
    states = list(rounds(first, oracle(truths), reach=REACHES["casme2sq"], watch=watch))
    assert [state.watched[-1] for state in states] == [1, 1, 1]  # frame 8 is found at once
    assert first.watched == (0.5,)
    assert (states[-1].labels[0] == U).any()  # the ends have grown by three frames alone


def test_where_all_frames_are_labelled_there_is_one_round_for_the_apex() -> None:
    states = run([begin(3, 1, 2)], oracle([(1, 1)]), "samm")
    assert len(states) == 2
    assert around(1, states[-1].labels[0] > N, states[-1].scores[0].annotation) == (1, 1, 1)


def test_the_reach_grows_with_the_rounds_as_published() -> None:
    assert [REACHES["samm"](number) for number in (1, 5, 6, 10, 11, 99)] == [2, 2, 3, 3, 5, 5]
    assert {REACHES["casme2sq"](number) for number in range(1, 30)} == {1}


def test_of_several_runs_that_of_the_frame_counts_with_its_first_strongest() -> None:
    of_it = np.array([True, False, True, True, True, False, True])
    strength = [0.99, 0, 0.6, 0.9, 0.9, 0, 1]
    assert around(2, of_it, strength) == Inferred(onset=2, apex=3, offset=4)
    assert around(6, of_it, strength) == (6, 6, 6)


# What it has to beat


@pytest.mark.parametrize(
    ("overlap", "floor"), [("inside", 50.00), ("around", 66.67), ("across", 40.00)]
)
def test_the_quoted_floors_are_those_of_a_clip_twice_as_long_as_its_micro_expression(
    overlap: str, floor: float
) -> None:
    assert round(100 * RANDOM_IOU[overlap](1, 2), 2) == floor


@pytest.mark.parametrize(
    ("found", "how"),
    [((4, 5, 6), "inside"), ((3, 5, 7), "inside"), ((2, 5, 7), "around"), ((2, 5, 9), "around"),
     ((2, 5, 6), "across"), ((5, 5, 8), "across")],
)  # fmt: skip
def test_an_interval_lies_inside_around_or_across(found: tuple[int, int, int], how: str) -> None:
    assert overlap(Inferred(*found), (3, 7)) == how


def test_intervals_that_do_not_meet_have_no_floor() -> None:
    with pytest.raises(ValueError, match="1 to 2 and 3 to 7 do not meet"):
        overlap(Inferred(1, 1, 2), (3, 7))


def test_the_random_mean_is_over_all_intervals_that_hold_the_frame_and_neither_end() -> None:
    # [2], [1, 2], [2, 3], [1, 3] with a truth of [2]: 1, 1/2, 1/2, 1/3
    assert random_iou(5, 2, (2, 2)) == pytest.approx(7 / 12)
    assert random_iou(4, 1, (1, 2)) == pytest.approx((1 / 2 + 1) / 2)
    assert random_iou(3, 1, (1, 1)) == 1  # both ends are neutral: nothing is left to chance
    with pytest.raises(ValueError, match="frame 1 of 3 is not from 1 to 2, between both ends"):
        random_iou(3, 1, (1, 2))
    with pytest.raises(ValueError, match="frame 2 of 9 is not from 3 to 5"):
        random_iou(9, 2, (3, 5))


def test_halfway_to_both_ends_is_the_truth_of_a_centred_clip_and_sees_nothing() -> None:
    # 4 of 8 frames, 2 to 5, from either frame in their middle; beside it 1 of 4 or of 5 is wrong
    assert halfway(8, 3) == (2, 3, 5)
    assert halfway(8, 4) == (2, 4, 5)
    assert halfway(8, 2) == (1, 2, 4)
    assert halfway(8, 0) == (0, 0, 3)
    assert halfway(1, 0) == (0, 0, 0)
    with pytest.raises(ValueError, match="no frame 8 of 8"):
        halfway(8, 8)


def test_a_threshold_lies_between_the_ends_and_the_frame() -> None:
    moved = [0, 0.4, 0.6, 1.2, 0.7, 0.4, 0.9, 0.2]  # at rest .1, at the frame .7: halfway .4
    assert by_threshold(moved, 4) == (1, 3, 6)
    assert by_threshold(moved, 4, share=0.75) == (2, 3, 4)  # .55
    assert by_threshold([0.5, 0.1, 0.1, 0.1, 0.5], 2) == (2, 2, 2)  # less than at rest
    assert by_threshold([0, 0.2, 0.1, 0.2, 0], 2, share=1.5) == (1, 1, 3)
    assert by_threshold([0, 0.1, 0.2, 0.1, 0], 2, share=1.5) == (2, 2, 2)  # none is so strong


def test_a_frame_counts_as_what_it_is_nearer_to() -> None:
    features = np.array([[0, 0], [0.4, 0], [0.6, 0], [1, 0], [1.4, 0], [0.4, 0.1], [0, 0.2]])
    assert by_difference(features, 3) == (2, 4, 4)


def test_iou_counts_frames() -> None:
    frames = np.arange(10)
    assert clip_iou((frames >= 2) & (frames <= 5), (frames >= 4) & (frames <= 8)) == 2 / 7


# With a network


class Tiny(nn.Module):
    """One layer on 8 x 8 blocks, and MECIA-Net's heads."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.features = nn.Linear(3 * 8 * 8, 32)
        self.annotation = nn.Linear(32, 1)
        self.head = nn.Linear(32, classes)

    def heads(self, frames: Tensor) -> Heads:
        seen = F.relu(self.features(F.avg_pool2d(frames, frames.shape[-1] // 8).flatten(1)))
        return Heads(self.annotation(seen).squeeze(1), self.head(seen), F.normalize(seen))


TRUTHS = [(9, 22), (7, 20), (12, 25), (8, 24)]


def moving(person: int, onset: int, offset: int, *, size: int = 16) -> MarkedClip:
    """32 frames: a blob goes 4 px of 16 within 3 frames, stays, goes back; noise; a background.

    It goes right for even persons, down for odd ones; the labelled frame is in the middle.
    """
    rng = np.random.default_rng(person)
    category = person % 2
    way = np.array([(0, 4), (4, 0)][category]) * size / 16
    far = np.interp(np.arange(32), [onset - 1, onset + 2, offset - 2, offset + 1], [0, 1, 1, 0])
    y, x = np.mgrid[:size, :size]
    block = size // 4
    behind = rng.uniform(60, 120, (4, 4)).repeat(block, axis=0).repeat(block, axis=1)
    frames = []
    for share in far:
        row, column = 6 * size / 16 + share * way
        distance = (y - row) ** 2 + (x - column) ** 2
        blob = 100 * np.exp(-distance / (6 * (size / 16) ** 2))
        frames.append(behind + blob + rng.normal(0, 3, blob.shape))
    pictures = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return MarkedClip(pictures, (onset + offset) // 2, category)


CLIPS = [moving(person, *truth) for person, truth in enumerate(TRUTHS)]


def found(clips: Sequence[MarkedClip] = CLIPS, **options: Any) -> Inference:
    usual: dict[str, Any] = {
        "classes": 2, "seed": 0, "reach": "casme2sq", "build": Tiny, "epochs": EPOCHS["short"],
        "rate": 3e-3,
    }  # fmt: skip
    return infer(clips, **usual | options)


def ious(inference: Inference, truths: Sequence[tuple[int, int]] = TRUTHS) -> list[float]:
    frames = np.arange(32)
    return [
        clip_iou((each.onset <= frames) & (frames <= each.offset), (on <= frames) & (frames <= off))
        for each, (on, off) in zip(inference.inferred, truths, strict=True)
    ]


def untimed(inference: Inference) -> list[Round]:
    """What happened, whatever the hour."""
    return [row._replace(seconds=0) for row in inference.log]


def same(one: Inference, other: Inference) -> bool:
    """Whether answers, scores and weights are the same to the bit."""
    pairs = zip(one.scores, other.scores, strict=True)
    first, second = one.network.state_dict(), other.network.state_dict()
    return (
        (one.inferred, untimed(one)) == (other.inferred, untimed(other))
        and all((a == b).all() for mine, yours in pairs for a, b in zip(mine, yours, strict=True))
        and all(torch.equal(first[name], second[name]) for name in first)
    )


@pytest.mark.parametrize("modules", MODULES)
def test_a_tiny_network_finds_when_a_blob_moved_better_than_chance(modules: str) -> None:
    inference = found(modules=modules)
    chance = [random_iou(32, c.frame, t) for c, t in zip(CLIPS, TRUTHS, strict=True)]
    assert min(ious(inference)) >= 0.75 > max(chance)
    for clip, labels, each in zip(CLIPS, inference.labels, inference.inferred, strict=True):
        assert set(labels[each.onset : each.offset + 1].tolist()) == {clip.category}
        assert U not in labels


def test_later_rounds_begin_with_the_weights_of_the_one_before() -> None:
    inference = found(modules="A")
    first, second, third, *_ = inference.log
    assert first.frames == 3 * len(CLIPS) < second.frames < third.frames
    assert third.loss < 0.01  # which one epoch from random weights cannot reach
    assert third.epochs < 10 < first.epochs


def test_a_round_ends_at_a_small_loss_or_after_its_epochs() -> None:
    early = found(enough=np.inf).log
    assert {row.epochs for row in early} == {1}
    assert early[0].agreed < 1
    late = found(enough=0.0, epochs=Epochs(3, 2)).log
    assert [row.epochs for row in late] == [3] + [2] * (len(late) - 1)


def test_the_same_seed_gives_the_same_to_the_bit_and_leaves_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    options: dict[str, Any] = {"epochs": Epochs(2, 1), "batch": 8}
    first = found(**options)
    assert same(first, found(**options))
    assert not same(first, found(**options, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("modules", ["A", "A+I+C"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path, modules: str) -> None:
    path = tmp_path / "key_frames.safetensors"
    options: dict[str, Any] = {"epochs": Epochs(5, 2), "modules": modules}
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found(**options, checkpoint=path, progress=stop)
    whole = found(**options)
    resumed = found(**options, checkpoint=path, progress=lambda *now: told.append(now))
    assert same(resumed, whole)
    assert told[0] == (12, 128)
    assert told[4] == told[3]  # where it went on
    assert len(told) == len(whole.log) + 2
    again = found(**options, checkpoint=path)
    assert same(again, whole)  # nothing is left to do
    assert again.log == resumed.log  # the seconds, too, of rounds before
    assert all(row.seconds > 0 for row in again.log)


def test_a_checkpoint_of_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key_frames.safetensors"
    options: dict[str, Any] = {"epochs": Epochs(2, 1), "checkpoint": path}
    found(**options)
    with pytest.raises(ValueError, match=r"another computation \(seed 0 there, 1 now\)"):
        found(**options, seed=1)
    with pytest.raises(ValueError, match=r"another computation \(clips"):
        found(CLIPS[:3], **options)


def test_a_checkpoint_of_other_libraries_or_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key_frames.safetensors"
    options: dict[str, Any] = {"epochs": Epochs(2, 1), "checkpoint": path}
    found(**options)
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()[ENTRY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, before in (("libraries", {"torch": "1"}), ("code_sha256", "0" * 64)):
        save_state(path, tensors, settings=told["settings"] | {name: before}, progress={})
        with pytest.raises(ValueError, match=rf"another computation \({name}"):
            found(**options)


def test_what_is_not_among_the_modules_is_not_learned() -> None:
    made = {modules: found(modules=modules, epochs=Epochs(2, 1)) for modules in MODULES}
    heads = {modules: each.network.state_dict()["head.weight"] for modules, each in made.items()}
    assert torch.equal(heads["A"], heads["A+C"])
    assert not torch.equal(heads["A"], heads["A+I"])
    assert not same(made["A"], made["A+C"])
    assert not same(made["A+I"], made["A+I+C"])
    columns = {modules: each.scores[0].identification.shape[1] for modules, each in made.items()}
    assert columns == {"A": 1, "A+I": 2, "A+C": 1, "A+I+C": 2}


class Normed(Tiny):
    """Its batch norm sees the pixels themselves."""

    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        self.norm = nn.BatchNorm2d(3)

    def heads(self, frames: Tensor) -> Heads:
        return super().heads(self.norm(frames))


def test_batch_norms_score_by_the_frames_learned_and_not_by_those_long_ago() -> None:
    network = Normed(classes=2)
    assert network.norm.running_mean is not None
    network.norm.running_mean += 9
    frames = torch.tensor([0, 255, 255, 255], dtype=torch.uint8)[:, None, None].repeat(1, 8, 8)
    settle(network, frames, batch=2)  # means 0 and 1 of [-1, 1] and [1, 1]
    assert network.norm.running_mean.tolist() == [0.5] * 3
    assert network.norm.momentum == 0.1


@pytest.mark.slow
def test_mecia_net_itself_finds_when_a_blob_moved() -> None:
    clip = moving(0, *TRUTHS[0], size=64)
    inference = found([clip], build=MECIANet, reach="samm", epochs=Epochs(40, 10), rate=1e-4)
    assert ious(inference, TRUTHS[:1])[0] >= 0.75
    assert inference.log[0].agreed == inference.log[-1].agreed == 1


def test_with_the_truth_the_rounds_end_as_the_paper_s_do() -> None:
    with_truth, without = found(truths=TRUTHS), found()
    assert len(with_truth.log) < len(without.log)
    assert untimed(with_truth) == untimed(without)[: len(with_truth.log)]


def test_a_clip_is_seen_small_and_grey() -> None:
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[1, :2] = (255, 0, 0)
    seen = view(frames, size=2)
    assert seen.shape == (2, 2, 2)
    assert seen[0].max() == 0
    assert seen[1, 0].min() > 2 * seen[1, 1].max()
    assert view(frames).shape == (2, 224, 224)
    with pytest.raises(ValueError, match="crop the face"):
        view(frames[:, :3])


@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        ([], {}, "no clips"),
        ([MarkedClip(CLIPS[0].frames, 31, 0)], {}, "frame 31 of 32"),
        ([MarkedClip(CLIPS[0].frames, 9, 2)], {}, "clip 0: category 2, but 0 to 1"),
        ([CLIPS[0], moving(0, 9, 20, size=32)], {}, r"clip 1: .* one size"),
        (CLIPS, {"modules": "I"}, "modules 'I': choose from A, A.I, A.C, A.I.C"),
        (CLIPS, {"reach": "2"}, "reach '2': choose from samm, casme2sq"),
        (CLIPS, {"epochs": Epochs(0, 1)}, "at least 1"),
        (CLIPS, {"batch": 2}, "of 3"),
        (CLIPS, {"truths": TRUTHS[:2]}, "2 truths for 4 clips"),
        (CLIPS, {"rate": 1e30}, "take a lower rate"),
    ],
)
def test_what_cannot_be_is_said(
    clips: Sequence[MarkedClip], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        found(clips, **options)
