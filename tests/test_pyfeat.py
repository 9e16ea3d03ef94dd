"""py-feat's own code on weights of chance: what goes in and comes out, not how well it measures.

The weights are written as py-feat writes its own, of its smallest network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from au_sources import pyfeat
from au_sources.extract import BuiltIn, PyFeat
from mie_x.faces import rendered
from mie_x.faces.aligned import find_alignment
from mie_x.records import AUS, Aus, Frames

pytestmark = pytest.mark.slow

CONFIG = {
    **{"backbone": "convnextv2_atto", "n_au": 20, "n_emotion": 7, "n_blendshape": 52},
    **{"use_head_v3": True, "drop_mefl": True, "mesh_normalized": True},
}
FACE, OTHER = (face.image() for face in rendered(2, seed=4))
BLANK = np.full_like(FACE, 90)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch
    from feat.multitask.model_v2 import MEGraphAUv2, ModelV2Config
    from safetensors.torch import save_file

    torch.manual_seed(5)
    network = MEGraphAUv2(ModelV2Config(**CONFIG, pretrained=False))
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    path = tmp_path_factory.mktemp("pyfeat") / "chance.safetensors"
    save_file(half, path, metadata={"config": json.dumps(CONFIG)})
    yield path
    path.unlink()


@pytest.fixture
def chance(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(weights))
    return weights


def by_name(frame: Frames, weights: Path) -> dict[str, float]:
    """What py-feat's own steps answer, by py-feat's names."""
    import torch
    from feat.multitask.inference import MultitaskModel
    from feat.utils.image_operations import extract_face_square_pad_torch

    planes = torch.from_numpy(frame).permute(2, 0, 1)[None] / 255
    box = torch.tensor([find_alignment(frame).box])
    found = MultitaskModel(weights_path=str(weights))(extract_face_square_pad_torch(planes, box)[0])
    return dict(zip(found.au_names, found.au[0].tolist(), strict=True))


def measured(*frames: Frames) -> Aus:
    return PyFeat().measure(iter(frames), frames[0]).aus


def test_aus_are_taken_by_name_and_blinking_is_closed_eyes(chance: Path) -> None:
    answer = by_name(FACE, chance)
    assert len(set(answer.values())) == 20
    wanted = {au: answer[f"AU{au:02d}"] for au in AUS if au != 45} | {45: answer["AU43"]}
    assert measured(FACE)[0].tolist() == pytest.approx(list(wanted.values()), abs=1e-5)


def test_a_row_a_frame_in_0_to_1_and_nan_where_no_face_is(chance: Path) -> None:
    found = PyFeat().measure([FACE, BLANK, FACE], FACE)
    assert found.aus.shape == (3, 17)
    assert found.aus.dtype == np.float32
    assert np.isnan(found.aus).all(axis=1).tolist() == [False, True, False]
    assert not np.isnan(found.aus[[0, 2]]).any()
    assert ((found.aus[0] > 0) & (found.aus[0] < 1)).all()
    assert found.confidence is not None
    assert (found.confidence > 0.9).tolist() == [True, False, True]


def test_the_same_frames_give_the_same_numbers(chance: Path) -> None:
    first = measured(FACE, OTHER)
    assert (first == measured(FACE, OTHER)).all()
    assert (first[0] != first[1]).any()


def test_settings_say_that_a_probability_is_no_intensity_and_who_may_use_the_weights(
    chance: Path,
) -> None:
    told = PyFeat().settings
    assert json.loads(json.dumps(told)) == told
    assert set(BuiltIn().settings) == set(told)
    assert "not intensities" in told["unit"]
    assert "non-commercial" in told["licence"]
    assert told["tool"] == "py-feat, chance.safetensors"
    assert len(told["weights_sha256"]) == 64


def test_weights_that_would_be_unpickled_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(tmp_path / "model.pt"))
    with pytest.raises(ValueError, match=r"give a \.safetensors file"):
        pyfeat.load_pyfeat()


def test_weights_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(tmp_path / "gone.safetensors"))
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors: no such file"):
        pyfeat.load_pyfeat()


def test_damaged_weights_are_named(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "cut.safetensors"
    damaged.write_bytes(weights.read_bytes()[:100_000])
    monkeypatch.setenv("FEAT_MULTITASK_WEIGHTS", str(damaged))
    with pytest.raises(ValueError, match=r"cut\.safetensors: not weights of py-feat"):
        pyfeat.load_pyfeat()


@pytest.fixture
def resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for py-feat's cache: its own may hold the real weights."""
    monkeypatch.delenv("FEAT_MULTITASK_WEIGHTS", raising=False)
    monkeypatch.setattr("feat.utils.io.get_resource_path", lambda: str(tmp_path))
    return tmp_path


def test_weights_in_py_feat_s_own_cache_are_used_without_asking_anybody(
    weights: Path, resources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feat.multitask.inference import HF_REPO, HF_WEIGHTS_FILE

    monkeypatch.setenv("MIEX_OFFLINE", "1")
    repository = resources / f"models--{HF_REPO.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / HF_WEIGHTS_FILE).symlink_to(weights)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    assert PyFeat().settings["weights_sha256"] == sha256(weights.read_bytes()).hexdigest()


SAID = (
    *("face_multitask", "hf download", "FEAT_MULTITASK_WEIGHTS", "non-commercial research"),
    "models--py-feat--face_multitask_v2",
)


def test_offline_nobody_is_asked_and_one_sentence_says_what_to_do(
    resources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEX_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="MIEX_OFFLINE is set") as error:
        _ = PyFeat().settings
    for part in (*SAID, str(resources)):
        assert part in str(error.value)


def test_without_weights_and_network_one_sentence_says_at_once_what_to_do(tmp_path: Path) -> None:
    code = (
        "import sys, feat.utils.io\n"
        "feat.utils.io.get_resource_path = lambda: sys.argv[1]\n"
        "from au_sources.extract import PyFeat\n"
        "try:\n    PyFeat().settings\n"
        "except FileNotFoundError as error:\n    print(error)"
    )
    unset = ("FEAT_MULTITASK_WEIGHTS", "MIEX_OFFLINE", "HF_HUB_OFFLINE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nobody listens
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert time.perf_counter() - start < 30  # to import py-feat takes 8; the hub's retries, 47
    assert done.stderr == ""
    (said,) = done.stdout.splitlines()
    for part in (*SAID, str(tmp_path), "the hub cannot be asked"):
        assert part in said
