"""The AU estimator: what it answers, what it refuses, and that its training resumes exactly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from au_sources import estimator as home
from au_sources.estimator import differences, intensities, load_estimator, save_estimator
from au_sources.estimator_network import Estimator, compare, movement
from ganimation.drawings import FRAMES, Clip, fill, identity_seed
from mie_x.faces import rendered
from mie_x.records import AUS, SIZE, Aus, Frames
from mie_x.renderer import draw_person, draw_view, render
from mie_x.resumable import cut_log
from pipelines.measure_estimator import agreement, of_alone
from pipelines.train_estimator import (
    draw_pair,
    split,
    to_teach,
    train_estimator,
    vary,
    wide_aus,
)

PEOPLE = 4
LEVEL = 0.3


@pytest.fixture(scope="module")
def faces() -> Frames:
    """(PEOPLE, 1 + 17, 128, 128, 3): people never trained on, at rest and with each AU alone."""
    aus = np.concatenate([np.zeros((1, len(AUS))), LEVEL * np.eye(len(AUS))])
    clips = []
    for number in range(PEOPLE):
        seed = identity_seed("test of the estimator", number)
        people, views = [draw_person(seed)] * len(aus), [draw_view(seed)] * len(aus)
        clips.append(render(people, views, aus).images)
    return np.stack(clips)


def test_answers_are_17_float32_in_range(faces: Frames) -> None:
    absolute = intensities(faces[0])
    rose = differences(faces[0, :5], faces[1, :5])
    assert absolute.shape == (18, 17)
    assert rose.shape == (5, 17)
    assert absolute.dtype == rose.dtype == np.float32
    assert absolute.min() >= 0
    assert absolute.max() <= 1
    assert np.abs(rose).max() <= 1
    assert intensities(faces[0, :0]).shape == differences(faces[0, :0], faces[0, :0]).shape


def test_an_answer_does_not_depend_on_the_batch(faces: Frames) -> None:
    many = faces[:, :10].reshape(-1, SIZE, SIZE, 3)  # more than go through the network at once
    alone = np.concatenate([intensities(frame[None]) for frame in many[::13]])
    np.testing.assert_allclose(intensities(many)[::13], alone, atol=1e-4)
    pair = differences(many[3:4], many[7:8])
    np.testing.assert_allclose(differences(many[:-4], many[4:])[3], pair[0], atol=1e-4)


def test_a_frame_differs_from_itself_by_nothing_and_back_is_the_negative(faces: Frames) -> None:
    assert np.abs(differences(faces[0], faces[0])).max() == 0
    there, back = differences(faces[0, :4], faces[0, 4:8]), differences(faces[0, 4:8], faces[0, :4])
    np.testing.assert_allclose(there, -back, atol=1e-5)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((1, 3, SIZE, SIZE), np.uint8),
        np.zeros((1, SIZE, SIZE, 3), np.float32),
    ],
)
def test_other_shapes_and_types_are_refused(frames: Any) -> None:
    right = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match=r"frames are .*; give uint8 RGB of shape \(N, 128, 128"):
        intensities(frames)
    with pytest.raises(ValueError, match=r"apexes are .*; give uint8 RGB"):
        differences(right, frames)
    with pytest.raises(ValueError, match="1 onsets and 2 apexes; give one for the other"):
        differences(right, right.repeat(2, axis=0))


@pytest.fixture(scope="module")
def rose(faces: Frames) -> Aus:
    """(PEOPLE, 17 asked, 17 answered): the difference from rest to each AU at LEVEL."""
    onsets = faces[:, :1].repeat(len(AUS), axis=1).reshape(-1, SIZE, SIZE, 3)
    found = differences(onsets, faces[:, 1:].reshape(-1, SIZE, SIZE, 3))
    return found.reshape(PEOPLE, len(AUS), len(AUS))


@pytest.mark.parametrize("au", AUS)
def test_each_unit_raises_its_own_difference(rose: Aus, au: int) -> None:
    own = rose[:, AUS.index(au), AUS.index(au)]
    assert (own > 0).sum() >= PEOPLE - 1


def test_most_units_raise_their_own_difference_most_and_the_others_little(rose: Aus) -> None:
    strongest = rose.argmax(axis=2) == np.arange(len(AUS))
    assert strongest.mean() > 0.75
    assert np.abs(rose[:, ~np.eye(len(AUS), dtype=bool)]).mean() < 0.03


def test_a_flat_picture_is_answered_with_numbers() -> None:
    grey = np.full((1, SIZE, SIZE, 3), 128, np.uint8)
    assert np.isfinite(intensities(grey)).all()
    assert np.isfinite(differences(grey, grey + np.uint8(9))).all()


def test_the_weights_that_ship_are_those_of_the_card() -> None:
    loaded = load_estimator(None)
    assert loaded.sha256 == home.SHIPPED_SHA256
    assert home.SHIPPED_SHA256 in home.SHIPPED.with_suffix(".md").read_text("utf-8")
    assert home.SHIPPED.stat().st_size < 8_000_000
    assert sum(parameter.numel() for parameter in loaded.estimator.parameters()) <= 3_000_000


def test_replaced_weights_are_not_taken_for_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "SHIPPED", tmp_path / "estimator.safetensors")
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load_estimator(None)
    save_estimator(home.SHIPPED, Estimator(width=2), steps=0, data="nothing", licence="none")
    with pytest.raises(ValueError, match="damaged or replaced, its SHA-256"):
        load_estimator(None)


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    torch.manual_seed(0)
    network = Estimator(width=2).eval()
    sha256 = save_estimator(path, network, steps=3, data="nothing", licence="none")
    loaded = load_estimator(path)
    assert loaded.sha256 == sha256
    assert loaded.metadata["steps"] == 3
    image = torch.rand(1, 3, SIZE, SIZE)
    with torch.inference_mode():
        found, wanted = loaded.estimator.intensities(image), network.intensities(image)
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=0)


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_estimator(path, Estimator(width=2), steps=0, data="nothing", licence="none")
    whole, tensors = path.read_bytes(), load_file(path)
    metadata = {home.ENTRY: json.dumps({"version": 1, "width": 2, "aus": AUS})}
    name = next(iter(tensors))

    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"tiny\.safetensors: not safetensors, or cut short"):
        load_estimator(path)
    save_file(tensors, path)
    with pytest.raises(ValueError, match="but not a mie-x estimator"):
        load_estimator(path)
    save_file({name: tensors[name]}, path, metadata=metadata)
    with pytest.raises(ValueError, match="not the tensors of an estimator"):
        load_estimator(path)
    save_file(tensors | {name: tensors[name] * np.nan}, path, metadata=metadata)
    with pytest.raises(ValueError, match=f"{name} holds numbers that are not finite"):
        load_estimator(path)
    wide = {home.ENTRY: json.dumps({"version": 1, "width": 10**6, "aus": AUS})}
    save_file(tensors, path, metadata=wide)
    with pytest.raises(ValueError, match="of another version or other AUs"):
        load_estimator(path)


def test_loading_au_sources_and_the_estimator_s_home_is_light() -> None:
    code = (
        "import sys, au_sources, au_sources.estimator;"
        "print([name for name in ('torch', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_movement_is_found_to_a_tenth_of_a_pixel_and_that_of_the_frame_left_out() -> None:
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(96.0), indexing="ij")

    def waves(right: float, down: float) -> torch.Tensor:
        return (torch.sin((x - right) / 3) + torch.sin((y - down) / 4))[None, None]

    still, moved = waves(0, 0), waves(0.3, -0.2)
    half = still.clone()
    half[:, :, :64] = moved[:, :, :64]
    found = movement((still + half) / 2, half - still)[0, :, 8:-8, 8:-8].atanh()
    upper, lower = found[:, :20].mean(dim=(1, 2)), found[:, -20:].mean(dim=(1, 2))
    assert (upper - lower).tolist() == pytest.approx([0.3, -0.2, 0.3, -0.2], abs=0.05)
    all_alike = movement((still + moved) / 2, moved - still)[:, :, 8:-8, 8:-8]
    assert all_alike.abs().mean() < 0.02


def test_change_is_its_own_negative_and_what_is_common_stays() -> None:
    onset, apex = torch.rand(2, 1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    there, back = compare(onset, apex), compare(apex, onset)
    assert torch.equal(there[:, :4], back[:, :4])
    assert torch.equal(there[:, 4:], -back[:, 4:])


# --- training ---------------------------------------------------------------------------------


def tiny_clip(number: int) -> Clip:
    """A picture of noise in which a square brightens with the AUs."""
    rng = np.random.default_rng(number)
    aus = wide_aus(rng, number)
    images = rng.integers(60, 180, (1, SIZE, SIZE, 3), dtype=np.uint8).repeat(FRAMES, axis=0)
    images[:, 40:80, 40:80] += (aus.sum(axis=1) * 8).astype(np.uint8)[:, None, None, None]
    return images, aus


def run_tiny(out: Path, steps: int, **options: Any) -> Path:
    settings: dict[str, Any] = {"seed": 1, "width": 2, "batch": 4, "people": 3}
    return train_estimator(out, steps=steps, **(settings | {"draw": tiny_clip} | options))


def test_training_resumes_to_the_bit(tmp_path: Path) -> None:
    fill(tmp_path / "pool", 3, tiny_clip)
    run_tiny(tmp_path / "once", 4, pool=tmp_path / "pool")
    # Stopped at step 2 of 4: the schedule knows how many steps there are to be.
    with pytest.raises(KeyboardInterrupt):
        run_tiny(tmp_path / "twice", 4, pool=tmp_path / "pool", save_minutes=0, progress=stop_at(3))
    run_tiny(tmp_path / "twice", 4, pool=tmp_path / "pool")
    names = ("state.safetensors", "estimator.safetensors")
    once, twice = (load_file(tmp_path / run / names[0]) for run in ("once", "twice"))
    assert all(torch.equal(tensor, twice[name]) for name, tensor in once.items())
    assert len({(tmp_path / run / names[1]).read_bytes() for run in ("once", "twice")}) == 1
    steps = (tmp_path / "twice" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in steps] == [4]


def stop_at(last: int) -> Any:
    def progress(done: int, _: int) -> None:
        if done == last:
            raise KeyboardInterrupt

    return progress


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    fill(tmp_path / "pool", 3, tiny_clip)
    run_tiny(tmp_path / "run", 1, pool=tmp_path / "pool")
    with pytest.raises(ValueError, match=r"another computation \(batch 4 there, 2 now\)"):
        run_tiny(tmp_path / "run", 2, pool=tmp_path / "pool", batch=2)


def test_photographs_and_their_table_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="portraits: photographs and a table of their AUs go"):
        run_tiny(tmp_path / "run", 1, photographs=tmp_path / "portraits")


def test_lines_of_lost_steps_leave_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 50}\n{"step": 100}\n{"step": 1')
    cut_log(log, 60)
    assert log.read_text() == '{"step": 50}\n'


def test_variation_keeps_the_range_and_moves_frames_apart_by_little() -> None:
    smooth = torch.nn.functional.interpolate(
        torch.rand(8, 3, 9, 9, generator=torch.Generator().manual_seed(0)), (64, 64)
    )
    pairs = smooth[:, None].repeat(1, 2, 1, 1, 1)
    varied = vary(pairs, torch.Generator().manual_seed(1), np.random.default_rng(1))
    assert varied.shape == pairs.shape
    assert varied.min() >= 0
    assert varied.max() <= 1
    apart = (varied[:, 0] - varied[:, 1]).abs().mean()
    assert 0 < apart < 0.3 * (varied[:, 0] - pairs[:, 0]).abs().mean()


def test_pairs_start_at_rest_half_of_the_time_and_may_go_backwards() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([draw_pair(rng, FRAMES) for _ in range(4000)])
    assert (pairs == 0).any(axis=1).mean() == pytest.approx(0.6, abs=0.04)
    assert (pairs[:, 0] < pairs[:, 1]).mean() == pytest.approx(0.42, abs=0.04)
    assert pairs.max() == FRAMES - 1


def test_wide_aus_show_every_unit_alone_weak_and_strong() -> None:
    aus = np.stack([wide_aus(np.random.default_rng(n), n) for n in range(17)])
    assert aus.shape == (17, FRAMES, len(AUS))
    assert not aus[:, 0].any()
    assert aus.min() >= 0
    assert aus.max() <= 1
    assert ((aus[:, 1] > 0).sum(axis=0) == 1).all()
    assert ((aus[:, 2] > 0).sum(axis=0) == 1).all()
    assert aus[:, 1].max() <= 0.4 < aus[:, 4].max()


def test_the_last_people_are_held_out_and_the_floor_of_rest_is_not_taught(tmp_path: Path) -> None:
    rows = ["image," + ",".join(f"AU{au:02d}_r" for au in AUS)]
    for number, face in enumerate(rendered(4, seed=0)):
        for folder, first in (("neutral", 1.0), ("smiling", 3.0)):
            (tmp_path / folder).mkdir(exist_ok=True)
            frontal = draw_view(face.seed, spread=0)
            picture = render([draw_person(face.seed)], [frontal], np.zeros((1, 17))).images[0]
            large = Image.fromarray(picture).resize((256, 256))
            large.save(tmp_path / folder / f"{number:03d}.png")
            rows.append(f"{folder}/{number:03d}.png," + ",".join([str(first)] + ["0"] * 16))
    table = tmp_path / "aus.csv"
    table.write_text("\n".join(rows) + "\n")
    taught = to_teach(tmp_path, table, hold_out=2)
    assert len(taught) == 2
    for images, aus in taught:
        assert images.shape == (2, SIZE, SIZE, 3)
        assert aus[:, 0].tolist() == pytest.approx(
            [0, 0.4]
        )  # 1 / 5 and 3 / 5 less their floor 1 / 5
    people = dict.fromkeys("abc", taught[0])
    assert [list(side) for side in split(people, 1)] == [["a", "b"], ["c"]]
    with pytest.raises(ValueError, match="3 of 3 people held out"):
        split(people, 3)


# --- measuring --------------------------------------------------------------------------------


def test_answers_to_single_units_by_hand() -> None:
    found = np.zeros((2, 51, 17), np.float32)
    found[:, np.arange(17), np.arange(17)] = 0.1  # right at the first level
    found[0, 17:34] = 0.1  # of 0.2: all alike, so that only the first AU is named as strongest
    figures = of_alone(found)
    assert figures["0.1"]["mae"] == pytest.approx(0, abs=1e-4)
    assert figures["0.1"]["sign"] == figures["0.1"]["strongest"] == 1
    assert figures["0.2"]["mae"] == pytest.approx(0.15)
    assert figures["0.2"]["sign"] == 0.5
    assert figures["0.2"]["strongest"] == pytest.approx(1 / 17, abs=1e-4)
    assert figures["0.2"]["others"] == pytest.approx(0.05)
    assert figures["0.3"]["aus"]["45"] == {"mean": 0, "mae": 0.3, "sign": 0}


def test_agreement_leaves_out_correlations_that_are_not_defined() -> None:
    truth = np.zeros((3, 17), np.float32)
    truth[:, 0] = 0, 0.5, 1
    found = np.float32(0.5) * truth
    figures = agreement(truth, found)
    assert figures["aus"]["1"] == {"mae": 0.25, "correlation": 1}
    assert figures["aus"]["2"] == {"mae": 0}
    assert figures["correlation"] == 1
    assert figures["mae"] == pytest.approx(0.25 / 17, abs=1e-4)
