"""One tiny world: faces and AU sources that take no time, a generator that is quick, datasets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mie_x import manifest, shards
from mie_x.formats import FORMATS, write_shard
from mie_x.frames import pixel_sha256, png, with_words
from mie_x.plan import make_plan
from mie_x.records import AUS, SIZE, Frames, Motion, Origin
from mie_x.shards import Failure


@dataclass(frozen=True)
class Blob:
    """A face that takes no time: a picture drawn from its identity's letters."""

    identity: str
    rendered: bool = True

    @property
    def path(self) -> str:
        return f"render:{self.identity}"

    @property
    def sha256(self) -> str:
        return f"{sum(self.identity.encode()):064x}"

    def image(self) -> Frames:
        rng = np.random.default_rng(list(self.identity.encode()))
        small = rng.integers(0, 256, (SIZE // 16, SIZE // 16, 3), dtype=np.uint8)
        return small.repeat(16, axis=0).repeat(16, axis=1)


def blobs(names: Sequence[str]) -> list[Blob]:
    return [Blob(name) for name in names]


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a very small generator, untrained: enough to move pixels."""
    from ganimation.checkpoints import save_generator
    from ganimation.networks import Generator

    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_generator(path, Generator(width=4, blocks=1), steps=0, data="untrained", licence="none")
    return path


@dataclass(frozen=True)
class Drawn:
    """An AU source that needs no tables: any motion, measured on nobody."""

    name: str
    stand_in: bool
    corpus: str = "corpus"

    @property
    def settings(self) -> dict[str, Any]:
        return {"stand_in": self.stand_in}

    def draw(self, label: int, rng: np.random.Generator) -> Motion:
        onset, apex = rng.random((2, len(AUS)), np.float32)
        origin = Origin(self.corpus, f"s{rng.integers(9)}", "clip") if self.name == "mie" else None
        return Motion(onset, apex, label, "word", self.name, origin)


PEOPLE = ("Jo Ann.2", "b", "größe", "d/e", "-f")
"""Identities of ``make_dataset``: three in its first shard, two in its second."""


def noise(seed: int) -> Frames:
    """A frame of random blocks: quick to encode, and no two alike."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return small.repeat(16, axis=0).repeat(16, axis=1)


def make_dataset(
    out: Path,
    format: str,
    *,
    people: Sequence[str] = PEOPLE,
    frames: int = 2,
    course: str = "rise",
    sources: Sequence[str] = ("mie", "exp"),
    corpus: str = "corpus",
) -> Path:
    """Finish a dataset in OUT, without a generator: its frames are noise.

    "mie" moves as s0 to s8 of CORPUS did.
    One sample failed ("b", exp, surprise), and one picture, of "größe", was left out.
    """
    drawn = {name: Drawn(name, stand_in=name == "mie", corpus=corpus) for name in sources}
    settings = {
        "mie_x": "0.1.0",
        "code_sha256": "c" * 64,
        "seed": 7,
        "size": SIZE,
        "frames": frames,
        "course": course,
        "format": format,
        "faces": {"kind": "photographs", "align": "similarity", "licence": None},
        "sources": {name: source.settings for name, source in drawn.items()},
        "weights": {"name": "none", "sha256": "0" * 64, "motion": True, "trained_on": "nothing"},
        "measured_with": None,
        "min_fidelity": None,
    }
    faces = [[name, f"{name}/1.jpg", Blob(name).sha256, [1.0, 0.0]] for name in people]
    persons = [SimpleNamespace(identity=name, path=f"{name}/1.jpg") for name in people]
    plan = make_plan(persons, drawn, seed=7, frames=frames, course=course)
    lost = Failure("frames", "b", "b/1.jpg", "b_exp_2", "unreadable", "cut off")
    unused = Failure("face", "größe", "größe/2.jpg", None, "no face", "none found")
    told = {
        "settings": settings,
        "faces": faces,
        "redacted": [],
        "found": {"pictures": 6},
        "left_out": [asdict(unused)],
    }
    out.mkdir(parents=True)
    manifest.begin(out, plan, told)
    planned = plan.to_pylist()
    count = -(-len(people) // 3)
    for index in range(count):
        own = faces[index * 3 : index * 3 + 3]
        names = [face[0] for face in own]
        failures = [asdict(lost)] if lost.identity in names else []
        write_shard(
            out,
            format,
            shards.name(index, count),
            [
                _made(row, Blob(row["identity"]).sha256, stand_in=row["source"] == "mie")
                for row in planned
                if row["identity"] in names and row["sample_key"] != lost.sample_key
            ],
            frames=frames,
            footer={
                "settings": settings,
                "made_with": [{"torch": "2"}],
                "faces": own,
                "failures": failures,
            },
        )
    manifest.finish(out)
    return out


def _made(row: Mapping[str, Any], sha256: str, *, stand_in: bool) -> dict[str, Any]:
    """A planned row with frames of noise that depend on its key alone."""
    count = len(row.get("frame_aus", "ab"))
    pictures = [noise(number + sum(row["sample_key"].encode()) * 100) for number in range(count)]
    hashes = [pixel_sha256(picture) for picture in pictures]
    pair = {"onset_sha256": hashes[0], "apex_sha256": hashes[-1]}
    return {
        **row,
        "face_sha256": sha256,
        "rendered_face": False,
        "stand_in_motion": stand_in,
        **(pair if count == 2 else {"frame_sha256": hashes}),
        **dict.fromkeys(name for name, _ in shards.MEASURED),
        "frames": [with_words(png(p), row["sample_key"], n) for n, p in enumerate(pictures)],
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The dataset of a format, made once: look, do not touch."""
    root = tmp_path_factory.mktemp("made")

    def make(format: str) -> Path:
        return root / format if (root / format).exists() else make_dataset(root / format, format)

    return make


@pytest.fixture(params=FORMATS)
def dataset(request: pytest.FixtureRequest, made: Callable[[str], Path], tmp_path: Path) -> Path:
    """A finished dataset of a test's own, in every format."""
    return copied(made(request.param), tmp_path)


def copied(folder: Path, below: Path) -> Path:
    """A copy of a dataset below another folder."""
    return Path(shutil.copytree(folder, below / folder.name))
