"""The main job, whole: what is asked is made, nothing is lost, and a stopped run goes on."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import au_sources
from ganimation.checkpoints import load_generator
from mie_x import shards
from mie_x.plan import Source
from mie_x.records import AUS, LABELS, SIZE
from pipelines import generate
from tests.conftest import Blob, blobs

ROOT = Path(__file__).parent.parent
POOL = {"kind": "rendered", "ids": 0, "sha256": ""}


def sources() -> dict[str, Source]:
    return {
        "mie": au_sources.RealMie(au_sources.stand_in_clips("mie")),
        "mae": au_sources.EarlyMae(au_sources.stand_in_clips("mae")),
        "exp": au_sources.Expert(),
    }


def job(out: Path, weights: Path, faces: Sequence[Blob] = (), *, seed: int = 0) -> generate.Job:
    return generate.prepare(
        out,
        list(faces) or blobs("abc"),
        sources(),
        seed=seed,
        faces_settings=POOL,
        weights=weights,
    )


def tree(folder: Path) -> dict[str, str]:
    """Every file below FOLDER and the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_counts_are_exact_and_every_frame_is_traceable(tmp_path: Path, tiny_weights: Path) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    assert sorted(tree(out)) == [
        "README.md",
        "data/train-00000-of-00001.parquet",
        "failures.parquet",
        "manifest.json",
    ]
    listed = shards.read_manifest(out)
    assert listed["samples"] == 3 * 3 * 3 and listed["identities"] == 3
    assert listed["samples_by_source_and_label"] == {
        source: dict.fromkeys(LABELS, 3) for source in ("mie", "mae", "exp")
    }
    assert shards.verify(out) == []
    plan = job(tmp_path / "out", tiny_weights).plan.to_pylist()
    for planned, sample in zip(plan, shards.read(out), strict=True):
        assert (sample.key, sample.label) == (planned["sample_key"], planned["label"])
        assert sample.aus is not None
        assert np.allclose(sample.aus, [planned["onset_aus"], planned["apex_aus"]])


def test_a_frame_is_what_the_generator_makes_of_face_and_aus(
    tmp_path: Path, tiny_weights: Path
) -> None:
    from ganimation.animation import animate

    out = generate.run(job(tmp_path / "out", tiny_weights))
    sample = next(iter(shards.read(out)))
    assert sample.aus is not None
    face = np.stack([Blob("a").image()] * 2)
    direct = animate(load_generator(tiny_weights).generator, face, sample.aus)
    assert np.abs(direct.astype(int) - sample.frames).max() <= 1


def test_expert_onsets_are_made_once(tiny_weights: Path) -> None:
    aus = np.zeros((6, len(AUS)), np.float32)
    aus[3:, 8] = (0.1, 0.2, 0.1)
    generator = load_generator(tiny_weights).generator
    made = generate.animate_once(generator, Blob("a").image(), aus, 4, "cpu")
    assert made.unique.shape == (3, SIZE, SIZE, 3)
    assert made.index == [0, 0, 0, 1, 2, 1]


def test_one_or_two_workers_give_the_same_bytes(tmp_path: Path, tiny_weights: Path) -> None:
    one = generate.run(job(tmp_path / "one", tiny_weights), workers=1)
    two = generate.run(job(tmp_path / "two", tiny_weights), workers=2)
    assert tree(one) == tree(two)


def test_other_batches_give_the_same_plan_and_pixels_within_one_level(
    tmp_path: Path, tiny_weights: Path
) -> None:
    some = generate.run(job(tmp_path / "some", tiny_weights), batch=3)
    many = generate.run(job(tmp_path / "many", tiny_weights), batch=64)
    for a, b in zip(shards.read(some), shards.read(many), strict=True):
        assert a.key == b.key
        assert np.abs(a.frames.astype(int) - b.frames).max() <= 1


def test_a_finished_run_does_nothing(tmp_path: Path, tiny_weights: Path) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    generate.run(job(out, tiny_weights))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize(
    "gone",
    ["data/train-00000-of-00001.parquet", "manifest.json", "README.md", "failures.parquet"],
)
def test_what_was_deleted_is_made_again(tmp_path: Path, tiny_weights: Path, gone: str) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    before = tree(out)
    (out / gone).unlink()
    generate.run(job(out, tiny_weights))
    assert tree(out) == before


def test_what_another_run_left_half_made_is_removed(tmp_path: Path, tiny_weights: Path) -> None:
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / "data" / "train-00000-of-00100.parquet.partial").write_bytes(b"half")
    out = generate.run(job(tmp_path / "out", tiny_weights))
    assert shards.verify(out) == []


def test_two_runs_in_one_folder_are_one_too_many(tmp_path: Path, tiny_weights: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with generate._alone(out), pytest.raises(shards.Unusable, match="another run writes there"):
        generate.run(job(out, tiny_weights))
    assert shards.verify(generate.run(job(out, tiny_weights))) == []


def test_a_shard_damaged_while_the_run_was_stopped_is_named(
    tmp_path: Path, tiny_weights: Path
) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    (out / "manifest.json").unlink()
    path = shards.paths(out)[0]
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"IDAT") + 100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(shards.Unusable, match="delete it and run again"):
        generate.run(job(out, tiny_weights))


def test_another_seed_on_the_same_folder_is_refused(tmp_path: Path, tiny_weights: Path) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    before = tree(out)
    with pytest.raises(ValueError, match=r"another (seed|plan_sha256)"):
        job(out, tiny_weights, seed=1)
    assert tree(out) == before


class Unreadable(Blob):
    """A photograph that is cut off between planning and reading."""

    def image(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise OSError("cut off")


def test_a_face_that_cannot_be_read_is_recorded_and_the_run_goes_on(
    tmp_path: Path, tiny_weights: Path
) -> None:
    faces = [Blob("a"), Unreadable("b"), Blob("c")]
    out = generate.run(job(tmp_path / "out", tiny_weights, faces))
    failures = shards.read_failures(out)
    assert [(f.stage, f.identity, f.detail) for f in failures] == [("frames", "b", "cut off")] * 9
    assert {s.subject for s in shards.read(out)} == {"a", "c"}
    assert shards.read_manifest(out)["failures"] == 9
    assert shards.verify(out) == []


def test_a_dataset_without_a_sample_is_no_success(tmp_path: Path, tiny_weights: Path) -> None:
    Image.fromarray(Blob("a").image()).save(tmp_path / "a.png")
    arguments = ["generate", "--faces", tmp_path, "--align", "none", "--weights", tiny_weights]
    arguments += ["--out", tmp_path / "out"]
    assert mie_x(arguments).returncode == 0
    shard = shards.paths(tmp_path / "out")[0]
    shards.write_shard(shard, [], [], shards.shard_settings(shard), {})
    (tmp_path / "out" / "manifest.json").unlink()
    done = mie_x(arguments)
    assert done.returncode == 1 and b"no sample" in done.stderr


def test_fifty_identities_make_a_shard(tmp_path: Path, tiny_weights: Path) -> None:
    faces = blobs([f"{n:03d}" for n in range(101)])
    small = generate.prepare(
        tmp_path / "out",
        faces,
        {"exp": au_sources.Expert()},
        seed=0,
        faces_settings=POOL,
        weights=tiny_weights,
    )
    generate.run(small, workers=2)
    rows = [entry["rows"] for entry in shards.read_manifest(tmp_path / "out")["shards"]]
    assert rows == [150, 150, 3]


def command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "mie_x", *map(str, arguments)]


def mie_x(arguments: Sequence[object]) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, to its end, every warning an error."""
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    return subprocess.run(
        command(arguments), cwd=ROOT, env=environment, capture_output=True, check=False
    )


def kill_after(seconds: float, arguments: Sequence[object]) -> int | None:
    """Kill -9 the command and its workers after SECONDS; its exit code if it ended before."""
    process = subprocess.Popen(
        command(arguments), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that need no detector (--align none): 120 identities, three shards."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(120):
        Image.fromarray(Blob(f"{n:03d}").image()).save(folder / f"{n:03d}.png")
    return folder


@pytest.mark.slow
def test_killed_at_random_moments_the_folder_ends_byte_identical(
    tmp_path: Path, tiny_weights: Path, photographs: Path
) -> None:
    """Twenty kill -9 at moments spread over the whole run, imports and writing included.

    A folder is killed in until a run of it comes through, then another is begun.
    """

    def arguments(out: Path, workers: int = 1) -> list[object]:
        faces = ["--faces", photographs, "--align", "none", "--weights", tiny_weights]
        return ["generate", *faces, "--sources", "exp", "--workers", workers, "--out", out]

    start = time.monotonic()
    assert mie_x(arguments(tmp_path / "whole")).returncode == 0
    seconds = time.monotonic() - start
    whole = tree(tmp_path / "whole")
    moments = random.Random(0)
    kills, folders = 0, 0
    while kills < 20:
        folders += 1
        out = tmp_path / f"killed-{folders}"
        while kills < 20:
            code = kill_after(moments.uniform(0, seconds), arguments(out, 1 + kills % 2))
            if code == 0:
                break
            assert code is None
            kills += 1
            now = tree(out) if out.exists() else {}
            assert {name: now[name] for name in now if name in whole}.items() <= whole.items()
        assert mie_x(arguments(out)).returncode == 0
        assert tree(out) == whole
