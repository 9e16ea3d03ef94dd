"""The losses are the written ones; training resumes to the bit; pairs move together."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ganimation import losses
from ganimation.augmentation import augment
from ganimation.checkpoints import load_generator
from ganimation.drawings import (
    FRAMES,
    Clip,
    count_drawn,
    draw_aus,
    draw_pair,
    fill,
    identity_seed,
    read_clip,
)
from ganimation.photographs import affine, inverse, look_up, move, move_person
from ganimation.training import Mix, Photographs, schedule, train
from mie_x.faces import rendered
from mie_x.faces.detection import TEMPLATE
from mie_x.records import AUS
from pipelines.train_generator import read_photographs

SIDE = 16
ROOT = Path(__file__).parent.parent


def tiny_clip(purpose: str, number: int) -> Clip:
    """A picture of noise in which a square brightens with the AUs."""
    rng = np.random.default_rng(identity_seed(purpose, number))
    aus = draw_aus(rng, number)
    images = np.repeat(rng.integers(60, 180, (1, SIDE, SIDE, 3), dtype=np.uint8), FRAMES, axis=0)
    images[:, 4:8, 4:8] += (aus.sum(axis=1) * 20).astype(np.uint8)[:, None, None, None]
    return images, aus


def run_tiny(out: Path, steps: int, **options: Any) -> Path:
    settings: dict[str, Any] = {
        "seed": 1,
        "width": 2,
        "blocks": 1,
        "batch": 2,
        "size": SIDE,
        "critic_width": 2,
        "people": 4,
        "paper_every": 3,
    }
    return train(out, steps=steps, **({"draw": tiny_clip} | settings | options))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    fill(tmp_path / "pool" / "train", 4, lambda number: tiny_clip("train", number))
    return tmp_path / "pool"


def test_gradient_penalty_of_a_linear_critic_is_that_of_its_slope() -> None:
    slope = torch.zeros(3, 4, 4)
    slope[0, 0, 0], slope[1, 2, 3] = 3, 4  # a vector of length 5: (5 - 1)^2 = 16

    penalty = losses.gradient_penalty(
        lambda images: (images * slope).sum(dim=(1, 2, 3)),
        torch.rand(2, 3, 4, 4),
        torch.rand(2, 3, 4, 4),
        torch.Generator().manual_seed(0),
    )
    assert penalty.item() == pytest.approx(16)


def test_smoothness_of_a_ramp_counts_each_step() -> None:
    ramp = (torch.arange(5.0) / 4).expand(2, 1, 3, 5)  # 3 rows x 4 steps of 1/4
    assert losses.mask_smoothness(ramp).item() == pytest.approx(3)


def test_the_critics_terms_by_hand() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5])
    assert losses.critic_loss(real, fake).item() == pytest.approx(-1.5)
    assert losses.adversarial_loss(fake).item() == pytest.approx(-0.5)
    seen, wanted = torch.tensor([[0.1, 0.0]]), torch.tensor([[0.3, 0.0]])
    assert losses.au_regression(seen, wanted).item() == pytest.approx(0.02)
    assert losses.cycle_loss(torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)).item() == 1
    assert losses.mask_mean(torch.full((2, 1, 3, 3), 0.25)).item() == pytest.approx(0.25)


def test_a_copy_has_a_paired_error_of_one_whatever_the_size_of_the_change() -> None:
    source = torch.zeros(3, 3, 8, 8)
    target = source.clone()
    target[0, :, 2:4, 2:4], target[1, :, 2:4, 2:4] = 1, 0.5  # the third pair is at rest
    copied = losses.paired_error(source, target, source).item()
    assert copied == pytest.approx((1 + 1 + 0.01) / 3, abs=1e-3)
    assert losses.paired_edges(source, target, source).item() == pytest.approx(copied, abs=1e-3)
    halfway = losses.paired_error((source + target) / 2, target, source).item()
    assert halfway == pytest.approx((0.5 + 0.5 + 0.01) / 3, abs=1e-3)
    assert losses.paired_error(target, target, source).item() == pytest.approx(0.01)


def test_a_shifted_grey_has_no_error_in_its_edges() -> None:
    target, source = torch.rand(2, 3, 5, 5), torch.rand(2, 3, 5, 5)
    assert losses.paired_edges(target + 0.1, target, source).item() == pytest.approx(0.01, abs=1e-4)


def test_training_resumes_to_the_bit(tmp_path: Path, pool: Path) -> None:
    whole = run_tiny(tmp_path / "whole", 4, pool=pool)
    run_tiny(tmp_path / "parts", 2, pool=pool)
    # The rate depends on the number of steps: a run cut at 2 of 4 has taken the rates of 4.
    assert schedule(0, 2) == schedule(0, 4)
    assert schedule(1, 2) == schedule(1, 4)
    parts = run_tiny(tmp_path / "parts", 4, pool=pool)
    states = [load_file(tmp_path / name / "state.safetensors") for name in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert whole.read_bytes() == parts.read_bytes()


def test_training_learns_and_writes_what_it_says(tmp_path: Path, pool: Path) -> None:
    path = run_tiny(tmp_path / "run", 100, pool=pool, rate=1e-3, width=24)
    loaded = load_generator(path)
    assert loaded.metadata["steps"] == 100
    assert "no photographs" in loaded.metadata["data"]
    log = (tmp_path / "run" / "log.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["step"] for line in lines] == [50, 100, 100]
    assert lines[1]["error"] < lines[0]["error"]
    assert {"critic", "critic_penalty", "aus", "cycle", "mask_mean"} <= lines[0].keys()
    assert "held_out_gain_db" in lines[2]
    assert (tmp_path / "run" / "sheet.png").exists()


def test_resuming_with_other_settings_is_refused_by_name(tmp_path: Path, pool: Path) -> None:
    run_tiny(tmp_path / "run", 1, pool=pool)
    with pytest.raises(ValueError, match=r"batch 2 there, 3 now; rate 0\.001 there, 0\.1 now"):
        run_tiny(tmp_path / "run", 2, pool=pool, batch=3, rate=0.1)


def torn(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:-9])


def empty(state: Path) -> None:
    state.write_bytes(b"")


def without_progress(state: Path) -> None:
    save_file(load_file(state), state)


def of_other_networks(state: Path) -> None:
    with safe_open(state, framework="pt") as file:
        metadata = file.metadata()
    save_file({"generator.first.weight": torch.ones(1)}, state, metadata=metadata)


@pytest.mark.parametrize("damage", [torn, empty, without_progress, of_other_networks])
def test_a_damaged_state_is_named_with_its_remedy(
    tmp_path: Path, pool: Path, damage: Callable[[Path], None]
) -> None:
    run_tiny(tmp_path / "run", 1, pool=pool)
    damage(tmp_path / "run" / "state.safetensors")
    with pytest.raises(ValueError, match=r"state\.safetensors: a .*; delete it to begin again"):
        run_tiny(tmp_path / "run", 2, pool=pool)
    (tmp_path / "run" / "state.safetensors").unlink()
    run_tiny(tmp_path / "run", 2, pool=pool)


def test_lost_and_torn_lines_leave_the_log(tmp_path: Path, pool: Path) -> None:
    run_tiny(tmp_path / "run", 2, pool=pool)
    log = tmp_path / "run" / "log.jsonl"
    sound = log.read_text()
    log.write_text(sound + '{"step": 3, "error": 1}\n[]\n\0\n{"step": 2, "err')
    run_tiny(tmp_path / "run", 3, pool=pool)
    text = log.read_text()
    assert text.startswith(sound)
    assert [json.loads(line)["step"] for line in text.splitlines()] == [2, 2, 3, 3]
    assert not list((tmp_path / "run").glob("*.partial"))


def test_progress_is_told_from_where_the_run_stands(tmp_path: Path, pool: Path) -> None:
    told: list[tuple[int, int]] = []
    for steps in (2, 4):
        run_tiny(
            tmp_path / "run",
            steps,
            pool=pool,
            progress=lambda done, all_: told.append((done, all_)),
        )
    assert told == [(0, 2), (1, 2), (2, 2), (2, 4), (3, 4), (4, 4)]


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    others = tmp_path / "000000.npz.1.partial"  # as process 1 would name it
    others.write_text("half a person")
    fill(tmp_path, 2, lambda number: tiny_clip("train", number))
    assert others.read_text() == "half a person"
    assert count_drawn(tmp_path, 2) == 2


def clip_until_the_sixth(purpose: str, number: int) -> Clip:
    if (purpose, number) == ("train", 5):
        raise ArithmeticError("a person who cannot be drawn")
    return tiny_clip(purpose, number)


@pytest.mark.slow
def test_training_stops_when_the_drawing_has_failed(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"train: drawing people stopped at 5 of 9 \(exit code 1"
    ):
        run_tiny(tmp_path / "run", 10**6, people=9, draw=clip_until_the_sixth)


@pytest.mark.slow
def test_people_are_drawn_while_training(tmp_path: Path) -> None:
    run_tiny(tmp_path / "run", 2, people=6)
    images, aus = read_clip(tmp_path / "run" / "pool" / "train", 3)
    assert np.array_equal(images, tiny_clip("train", 3)[0])
    assert np.array_equal(aus, tiny_clip("train", 3)[1])


def test_an_affine_map_brings_planes_along() -> None:
    turn, shift = affine(
        np.array([[2.0, 2], [6, 2], [2, 6]]), np.array([[4.0, 5], [8, 5], [4, 9]])
    )  # right by 2, down by 3
    plane = torch.zeros(1, 1, 16, 16)
    plane[0, 0, 4, 5] = 1
    moved = look_up(plane, turn, shift)
    assert moved[0, 0, 7, 7].item() == pytest.approx(1, abs=1e-5)
    assert moved.sum().item() == pytest.approx(1, abs=1e-4)


def test_a_field_is_inverted_where_it_arrives() -> None:
    x = torch.arange(32) + 0.5
    field = torch.zeros(1, 2, 32, 32)
    field[0, 0] = 0.1 * x  # a point at x goes to 1.1 x, so what arrives at x came from x / 1.1
    assert inverse(field)[0, 0, 16, 4:28].numpy() == pytest.approx(
        (x - x / 1.1)[4:28].numpy(), abs=0.01
    )


def test_a_face_at_rest_is_moved_where_the_unit_acts_and_nowhere_else() -> None:
    face = rendered(1, seed=8)[0].image()
    aus = np.zeros((2, len(AUS)), np.float32)
    aus[1, AUS.index(12)] = 0.3
    still, smiling = move(face, np.array(TEMPLATE), aus, seed=4)
    assert np.array_equal(still, face)
    change = np.abs(smiling.astype(int) - face).mean(axis=2)
    assert change[90:112, 30:98].mean() > 1
    assert change[:50].max() == 0


def some_photographs() -> Photographs:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    seen = images, rng.random((3, len(AUS)), np.float32)
    return Photographs(seen, images[:2], np.array([TEMPLATE] * 2), "noise, nobody's")


def test_training_with_photographs_resumes_to_the_bit_and_says_so(
    tmp_path: Path, pool: Path
) -> None:
    photographs, mixture = some_photographs(), Mix(1, 1, 1)
    warped = pool / f"warped-{photographs.sha256()[:16]}"
    fill(warped, 20, lambda number: tiny_clip("warped", number))
    options: dict[str, Any] = {"pool": pool, "photographs": photographs, "mixture": mixture}
    whole = run_tiny(tmp_path / "whole", 4, **options)
    run_tiny(tmp_path / "parts", 2, **options)
    parts = run_tiny(tmp_path / "parts", 4, **options)
    assert whole.read_bytes() == parts.read_bytes()
    log = json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[0])
    assert log["people"] == 24
    assert "photographs_mask" in log
    assert (tmp_path / "whole" / "photographs.png").exists()
    said = load_generator(whole).metadata["data"]
    assert "3 photographs without targets; 2 photographs moved" in said
    assert said.endswith("noise, nobody's")
    with pytest.raises(ValueError, match=r"mix \[1.*\] there, \[1.*\] now"):
        run_tiny(tmp_path / "whole", 5, **(options | {"mixture": Mix(1, 1, 0)}))
    with pytest.raises(ValueError, match=r"photographs .* there, null now"):
        run_tiny(tmp_path / "whole", 5, pool=pool)


def test_a_run_begins_with_given_weights(tmp_path: Path, pool: Path) -> None:
    first = run_tiny(tmp_path / "first", 1, pool=pool)
    second = run_tiny(tmp_path / "second", 1, pool=pool, start=first, rate=1e-12, seed=5)
    weights = [load_generator(path).generator.state_dict() for path in (first, second)]
    for name, tensor in weights[0].items():
        assert torch.allclose(tensor, weights[1][name], atol=1e-4), name
    said = load_generator(second).metadata["data"]
    assert "begun with generator.safetensors" in said
    assert said.endswith(load_generator(first).metadata["data"])
    with pytest.raises(ValueError, match="a network of another size"):
        run_tiny(tmp_path / "third", 1, pool=pool, start=first, width=4)


@pytest.mark.parametrize("weights", [(0, 1, 0), (-1, 0, 2)])
def test_a_mix_without_pairs_is_refused(weights: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="no weight is negative, and some are of pairs"):
        Mix(*weights)


def test_pairs_of_photographs_need_people_at_rest(tmp_path: Path, pool: Path) -> None:
    with pytest.raises(ValueError, match="none of people at rest"):
        run_tiny(tmp_path, 1, pool=pool, mixture=Mix(1, 0, 1))


def test_photographs_of_a_folder_are_split_and_those_at_rest_told_by_the_table(
    tmp_path: Path,
) -> None:
    rows = ["image,confidence," + ",".join(f"AU{au:02d}_r" for au in AUS)]
    for number, face in enumerate(rendered(4, seed=6)):
        Image.fromarray(face.image()).resize((256, 256)).save(tmp_path / f"{number}.png")
        smile = 4.0 if number == 1 else 0.0  # of 5
        rows.append(f"{number}.png,0.9," + ",".join(str(smile * (au == 12)) for au in AUS))
    table = tmp_path / "aus.csv"
    table.write_text("\n".join(rows))
    found = read_photographs(tmp_path, table, hold_out=1)
    assert found.seen[0].shape == (3, 128, 128, 3)
    assert found.seen[1][:, AUS.index(12)] == pytest.approx([0, 0.8, 0])
    assert np.array_equal(found.resting, found.seen[0][[0, 2]])
    assert found.points == pytest.approx(np.array([TEMPLATE] * 2), abs=4)


def test_moved_photographs_are_micro_and_drawn_from_their_number() -> None:
    face = rendered(1, seed=8)[0].image()
    images, aus = move_person(face[None], np.array([TEMPLATE]), 1)
    assert images.shape == (FRAMES, 128, 128, 3)
    assert np.array_equal(images[0], face)
    assert 0 < aus.max() <= 0.4
    again = move_person(face[None], np.array([TEMPLATE]), 1)
    assert np.array_equal(images, again[0])
    assert np.array_equal(aus, again[1])


@pytest.mark.slow
def test_two_processes_train_the_weights_of_their_mean_gradient(tmp_path: Path, pool: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.test_training import run_tiny;"
        "from mie_x import parallel;"
        "run_tiny(Path(sys.argv[1]), 3, pool=Path(sys.argv[2]), save_minutes=0);"
        "Path(f'{sys.argv[1]}-{parallel.rank()}').write_text(str(parallel.size()));"
        "parallel.leave()"
    )
    script = tmp_path / "train.py"
    script.write_text(code)
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(script), str(tmp_path / "run"), str(pool)),
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert [(tmp_path / f"run-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]
    together = load_generator(tmp_path / "run" / "generator.safetensors")
    alone = load_generator(run_tiny(tmp_path / "alone", 3, pool=pool))
    assert together.metadata["steps"] == 3
    assert together.sha256 != alone.sha256  # the other process's batches counted
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [1, 2, 3, 3]  # one process writes


def test_augmentation_treats_both_images_alike() -> None:
    face = torch.rand(8, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pairs = augment(face.expand(-1, 2, -1, -1, -1), torch.Generator().manual_seed(1))
    assert torch.equal(pairs[:, 0], pairs[:, 1])
    assert pairs.shape == (8, 2, 3, 32, 32)
    assert pairs.abs().max() <= 1
    assert (pairs[:, 0] - face[:, 0]).abs().amax(dim=(1, 2, 3)).gt(0.1).any()


def test_training_people_are_met_nowhere_else() -> None:
    uses = [
        *([identity_seed(use, n) for n in range(2000)] for use in ("train", "held-out")),
        *([identity_seed(f"measure {seed}", n) for n in range(2000)] for seed in range(3)),
        *([face.seed for face in rendered(2000, seed=seed)] for seed in range(3)),
    ]
    assert len({seed for seeds in uses for seed in seeds}) == 2000 * len(uses)
    assert min(map(min, uses)) > 2**32  # beyond what people choose as seeds
    assert max(map(max, uses)) < 2**63


def test_drawn_aus_are_micro_and_show_every_unit_alone() -> None:
    aus = np.stack([draw_aus(np.random.default_rng(number), number) for number in range(68)])
    assert aus.shape == (68, FRAMES, len(AUS))
    assert not aus[:, 0].any()
    assert aus.min() >= 0
    assert aus.max() <= 0.8
    alone = aus[:, 1:4].reshape(-1, len(AUS))
    assert ((alone > 0).sum(axis=1) == 1).all()
    assert ((alone > 0).sum(axis=0) == 12).all()  # 68 x 3 / 17


def test_sources_are_mostly_neutral_and_sometimes_the_target() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([draw_pair(rng, FRAMES) for _ in range(4000)])
    assert (pairs[:, 0] == 0).mean() == pytest.approx(0.9 + 0.1 / 8, abs=0.02)
    assert (pairs[:, 0] == pairs[:, 1]).mean() == pytest.approx(1 / 12, abs=0.02)
    assert pairs.min() == 0
    assert pairs.max() == FRAMES - 1
