"""Every network is of the published size, and one loop can train it; losses worked out by hand."""

from __future__ import annotations

import functools
import hashlib
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recognizers import RECOGNIZERS
from recognizers.backbones import IMAGENET, Trunk, pretrained_on, three_layer_head
from recognizers.branches import EMR, Branches, halves, reverse_gradient
from recognizers.dtscnn import DTSCNN
from recognizers.mean import MEAN, RECOGNITION, SPOTTING
from recognizers.mecia import (
    NEUTRAL,
    MECIANet,
    annotation_loss,
    contrastive_loss,
    identification_loss,
)
from recognizers.settings import VIEWS, Batch, Loss, Settings, cross_entropy, groups, steps
from recognizers.ststnet import STSTNet

IMAGE = VIEWS["apex"]

# Losses in which a network's training has its say: all parameters learn from one of them.
LOSSES: dict[str, list[Loss]] = {
    name: [recognizer.settings.loss] for name, recognizer in RECOGNIZERS.items()
} | {"mean": [SPOTTING.loss, RECOGNITION.loss, cross_entropy]}


def count(build: Callable[..., nn.Module], **options: object) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(**options).parameters())


def inputs(name: str, number: int) -> tuple[Tensor, ...]:
    views = RECOGNIZERS[name].settings.views
    return tuple(torch.rand(number, *VIEWS[view]) * 2 - 1 for view in views)


@pytest.mark.parametrize(
    ("build", "options", "parameters"),
    [
        (Branches, {}, 22_488_451),
        (Branches, {"classes": 5}, 22_488_517),
        (Branches, {"classes": 6}, 22_488_550),
        (EMR, {}, 11_253_322),
        (RECOGNIZERS["apexme"].build, {}, 11_246_403),
        (RECOGNIZERS["apexme"].build, {"classes": 5}, 11_246_469),
        (RECOGNIZERS["apexme"].build, {"classes": 6}, 11_246_502),
        (DTSCNN, {"frames": (64,)}, 1_026_163),
        (DTSCNN, {"frames": (64,), "classes": 4}, 1_026_676),
        (DTSCNN, {}, 2 * (1_026_163 - 513 * 3) + 1025 * 3),
        (DTSCNN, {"frames": (10,)}, 950_275),
        (MECIANet, {}, 11_706_949),
        (STSTNet, {"norm": False}, 1_651),
        (STSTNet, {}, 1_683),
        (RECOGNIZERS["off-apexnet"].build, {}, 2_664_475),
        (functools.partial(Trunk, "resnet18", weights=None), {}, 11_176_512),
        (functools.partial(Trunk, "alexnet", weights=None), {}, 57_003_840),
    ],
)
def test_networks_have_the_published_size(
    build: Callable[..., nn.Module], options: dict[str, object], parameters: int
) -> None:
    assert count(build, **options) == parameters


def test_mean_has_the_published_size_with_its_statistics() -> None:
    network = MEAN()
    sizes = {
        name: value.numel()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")  # PyTorch's own, not in Keras' count
    }
    assert sum(sizes.values()) == 7608
    assert sum(n for name, n in sizes.items() if not name.startswith("head.")) == 3621


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_every_network_can_be_trained_by_one_loop(name: str) -> None:
    torch.manual_seed(0)
    network = RECOGNIZERS[name].build(classes=4)
    torch.manual_seed(0)
    same = RECOGNIZERS[name].build(classes=4)
    for key, value in same.state_dict().items():
        assert torch.equal(value, network.state_dict()[key]), key

    batch = Batch(inputs(name, 2), torch.tensor([3, 1]), torch.tensor([True, False]))
    for loss in LOSSES[name]:
        value = loss(network, batch)
        assert value.shape == ()
        value.backward()  # type: ignore[no-untyped-call]
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key

    network.eval()
    with torch.no_grad():
        both = network(*batch.inputs)
        assert both.shape == (2, 4)
        one = network(*(view[:1] for view in batch.inputs))
        torch.testing.assert_close(one, both[:1], rtol=1e-3, atol=1e-5)
        zeros = [torch.zeros_like(view[:1]) for view in batch.inputs]
        assert network(*zeros).isfinite().all()


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_synthetic_and_real_clips_are_seen_alike(name: str) -> None:
    recognizer = RECOGNIZERS[name]
    before = recognizer.pretraining or recognizer.settings
    assert before.views == recognizer.settings.views


def test_streams_and_trunks_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="streams for 10, 64, 128"):
        DTSCNN(frames=(32,))
    with pytest.raises(ValueError, match="choose one of resnet18, alexnet"):
        MECIANet(backbone="vgg16")


@pytest.mark.parametrize(
    "settings_of", [*((r.build, r.settings) for r in RECOGNIZERS.values()),
                    (MEAN, SPOTTING), (MEAN, RECOGNITION)]
)  # fmt: skip
def test_groups_hold_every_parameter_once(
    settings_of: tuple[Callable[..., nn.Module], Settings],
) -> None:
    build, settings = settings_of
    with torch.device("meta"):
        network = build()
    grouped = [id(p) for group in groups(network, settings) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())


def test_emr_learns_its_trunk_a_hundred_times_slower_until_the_rates_meet() -> None:
    recognizer = RECOGNIZERS["emr"]
    with torch.device("meta"):
        network = recognizer.build()
    sizes = {
        group["lr"]: sum(p.numel() for p in group["params"])
        for group in groups(network, recognizer.settings)
    }
    assert sizes == {1e-5: 11_176_512, 1e-3: 11_253_322 - 11_176_512}
    schedule = recognizer.settings.schedule
    assert [schedule(1e-3, epoch) for epoch in (1, 10, 20)] == [1e-3, 5e-4, 2.5e-4]
    assert [schedule(rate, 100) for rate in (1e-3, 1e-5)] == [1e-5, 1e-5]


def test_adam_s_decay_is_the_gradient_of_mean_s_squares() -> None:
    """MEAN adds 0.1 x the sum of squares of a head's kernel to its loss: 0.2 w in the gradient."""
    network = MEAN()
    decays = {
        group["weight_decay"]: sum(p.numel() for p in group["params"])
        for group in groups(network, SPOTTING)
    }
    assert decays[2e-3] == 25 * (3 + 3 + 8)  # the kernels of the three streams
    assert decays[0.2] == 25 * 14 * 8
    weight = next(p for group in groups(network, SPOTTING) if group["weight_decay"] == 0.2
                  for p in group["params"])  # fmt: skip
    (gradient,) = torch.autograd.grad(0.1 * weight.square().sum(), weight)
    torch.testing.assert_close(gradient, 0.2 * weight.detach())


def test_a_layer_that_is_not_there_is_not_passed_over() -> None:
    settings = Settings("ours", ("flow_28",), 1e-3, 1, 1, rates={"trunks": 1e-5})
    with pytest.raises(ValueError, match="no parameter trunks in STSTNet"):
        groups(STSTNet(), settings)


def test_branches_and_apexme_fine_tune_by_their_own_steps() -> None:
    branches, apexme = (RECOGNIZERS[name].settings.schedule for name in ("branches", "apexme"))
    assert [branches(1, e) for e in (9, 10, 80)] == [1, 0.8, pytest.approx(0.8**8)]
    assert [apexme(1, e) for e in (9, 10, 80)] == [1, 0.9, pytest.approx(0.9**8)]
    assert steps(1, 40, factor=0.5, every=10, floor=0.25) == 0.25


def test_branches_sees_the_onset_by_one_trunk_and_the_apex_by_the_other() -> None:
    torch.manual_seed(0)
    network = Branches().eval()
    pair = torch.rand(1, 2, *IMAGE) * 2 - 1
    with torch.no_grad():
        seen = torch.cat([network.onset(pair[:, 0]), network.apex(pair[:, 1])], dim=1)
        torch.testing.assert_close(network(pair), network.head(seen))


def test_the_head_starts_as_xavier_has_it() -> None:
    torch.manual_seed(0)
    first = three_layer_head(512, 3)[0]
    assert isinstance(first, nn.Linear)
    bound = math.sqrt(6 / (512 + 128))
    assert 0.99 * bound < first.weight.abs().max() <= bound
    assert not first.bias.any()


def test_emr_cuts_the_face_below_the_third_row() -> None:
    maps = torch.arange(7.0)[:, None].expand(1, 2, 7, 7)
    top, bottom = halves(maps)
    assert top.tolist() == [[1, 1]]  # (0 + 1 + 2) / 3
    assert bottom.tolist() == [[4.5, 4.5]]  # (3 + 4 + 5 + 6) / 4


def test_a_reversed_gradient_changes_its_sign_and_nothing_else() -> None:
    x = torch.tensor([0.1, -3.0], requires_grad=True)
    reversed_ = reverse_gradient(x)
    assert torch.equal(reversed_, x)
    (gradient,) = torch.autograd.grad((reversed_ * torch.tensor([2.0, 5.0])).sum(), x)
    assert gradient.tolist() == [-2, -5]


def test_what_tells_macro_from_micro_is_learned_and_unlearned_below() -> None:
    torch.manual_seed(0)
    network = EMR().eval()
    flow = torch.rand(1, *IMAGE)
    top, bottom = halves(network.trunk.maps(flow))
    forwards = network.domain(torch.cat([network.top(top), network.bottom(bottom)], dim=1)).sum()
    backwards = network.answers(flow).macro.sum()
    for key, sign in (("domain.0.weight", 1), ("top.0.weight", -1), ("bottom.0.weight", -1)):
        weight = network.get_parameter(key)
        (straight,) = torch.autograd.grad(forwards, weight, retain_graph=True)
        (turned,) = torch.autograd.grad(backwards, weight, retain_graph=True)
        torch.testing.assert_close(turned, sign * straight)


def test_emr_without_macro_expressions_has_three_terms() -> None:
    torch.manual_seed(0)
    network = EMR().eval()
    flow, labels = torch.rand(2, *IMAGE), torch.tensor([0, 2])
    with torch.no_grad():
        loss = RECOGNIZERS["emr"].settings.loss
        answers = network.answers(flow)
        three = loss(network, Batch((flow,), labels))
        four = loss(network, Batch((flow,), labels, torch.tensor([True, False])))
    logistic = answers.macro.sigmoid()
    domain = -(logistic[0].log() + (1 - logistic[1]).log()) / 2
    assert four - three == pytest.approx(float(domain), abs=1e-5)


def test_a_dtscnn_wants_a_sequence_for_each_stream() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        DTSCNN()(torch.zeros(1, 3, 64, 32, 32))


@pytest.mark.parametrize("frames", [64, 128])
def test_dtscnn_streams_end_in_one_step_of_time_and_four_pixels(frames: int) -> None:
    network = DTSCNN(frames=(frames,))
    convolutions = network.streams[0][0][:-2]  # type: ignore[index]
    with torch.device("meta"), torch.no_grad():
        maps = convolutions.to("meta")(torch.zeros(1, 3, frames, 128, 128))
    assert maps.shape == (1, 128, 1, 4, 4)


def test_frozen_layers_neither_learn_nor_gather() -> None:
    torch.manual_seed(0)
    network = MEAN()
    batch = Batch((torch.rand(8, 3, 42, 42),), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]))
    before = {key: value.clone() for key, value in network.streams.state_dict().items()}
    RECOGNITION.loss(network, batch).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in network.streams.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    for key, value in network.streams.state_dict().items():
        assert torch.equal(value, before[key]), key
    gradient = network.get_parameter("head.0.weight").grad
    assert gradient is not None
    assert gradient.any()
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(*batch.inputs, frozen=True), network(*batch.inputs))


def test_mean_learns_to_spot_from_zeros_and_ones() -> None:
    torch.manual_seed(0)
    network = MEAN().eval()
    maps, labels = torch.rand(2, 3, 42, 42), torch.tensor([1, 0])
    with torch.no_grad():
        first, second = network.spot(maps).tolist()
        assert float(SPOTTING.loss(network, Batch((maps,), labels))) == pytest.approx(
            ((first - 1) ** 2 + second**2) / 2, rel=1e-5
        )


def test_annotation_weighs_both_sets_alike() -> None:
    # One frame of a micro-expression, probability 3/4; three others, 1/2, 1/2, 3/4.
    logits = torch.tensor([math.log(3), 0, 0, math.log(3)])
    labels = torch.tensor([2, NEUTRAL, NEUTRAL, NEUTRAL])
    expected = math.log(4 / 3) + (math.log(2) + math.log(2) + math.log(4)) / 3
    assert float(annotation_loss(logits, labels)) == pytest.approx(expected, rel=1e-6)


def test_identification_looks_at_micro_expressions_alone() -> None:
    # Probabilities 1/4, 1/2, 1/4: class 1 costs log 2, class 0 costs log 4.
    logits = torch.tensor([0, math.log(2), 0]).expand(3, 3)
    labels = torch.tensor([1, NEUTRAL, 0])
    expected = (math.log(2) + math.log(4)) / 2
    assert float(identification_loss(logits, labels)) == pytest.approx(expected, rel=1e-6)
    assert identification_loss(logits, torch.full((3,), NEUTRAL)) == 0


def test_contrast_has_the_sum_inside_of_the_logarithm() -> None:
    # Cosines of 0.07 log 2: exp(s / 0.07) is 2 for the pair of apexes and for frames 2 and 3.
    # Frames 2, 3, 4 are the others: 2 and 3 alike by 2, all else by 1 (cosine 0).
    cosine = 0.07 * math.log(2)
    sine = math.sqrt(1 - cosine**2)
    contrast = torch.zeros(5, 5, dtype=torch.float64)
    contrast[0, 0] = contrast[2, 2] = contrast[4, 4] = 1
    contrast[1, 0], contrast[1, 1] = cosine, sine
    contrast[3, 2], contrast[3, 3] = cosine, sine
    labels = torch.tensor([0, 1, NEUTRAL, NEUTRAL, NEUTRAL])
    apexes = 2 * math.log((2 + 3) / 2)  # 2 to the one other apex, 1 to each of three
    others = 2 * math.log((2 + 1 + 2) / (2 + 1)) / 2 + math.log((2 + 2) / 2) / 2
    loss = contrastive_loss(contrast, labels)
    assert float(loss) == pytest.approx(apexes + others, rel=1e-9)


def test_a_set_of_one_adds_nothing_to_the_contrast_and_no_nan_to_the_gradient() -> None:
    contrast = torch.eye(3, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([1, NEUTRAL, NEUTRAL])
    loss = contrastive_loss(contrast, labels)
    assert loss.item() == pytest.approx(2 * math.log(2))  # of two equally alike, one is of the set
    (gradient,) = torch.autograd.grad(loss, contrast)
    assert gradient.isfinite().all()
    assert contrastive_loss(contrast[:1], labels[:1]) == 0


def test_mecia_has_onsets_for_neutral_and_apexes_for_their_class() -> None:
    torch.manual_seed(0)
    network = MECIANet(classes=3).eval()
    pairs, labels = torch.rand(2, 2, *IMAGE) * 2 - 1, torch.tensor([2, 0])
    with torch.no_grad():
        loss = RECOGNIZERS["mecia"].settings.loss(network, Batch((pairs,), labels))
        heads = network.heads(torch.stack([pairs[0, 0], pairs[0, 1], pairs[1, 0], pairs[1, 1]]))
        marked = torch.tensor([NEUTRAL, 2, NEUTRAL, 0])
        expected = (
            annotation_loss(heads.annotation, marked)
            + identification_loss(heads.identification, marked)
            + contrastive_loss(heads.contrast, marked)
        )
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_from_scratch_says_so() -> None:
    with torch.device("meta"):
        assert pretrained_on(MECIANet(backbone="alexnet")) is None
        assert pretrained_on(STSTNet()) is None


def test_weights_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="choose None or 'imagenet'"):
        Trunk("resnet18", weights="vggface")


def test_another_file_in_the_cache_is_not_taken_for_imagenet_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    torch.save(Trunk("resnet18", weights=None).state_dict(), path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    with pytest.raises(ValueError, match=rf"resnet18-f37072fd.pth: SHA-256 begins with {found}"):
        Trunk("resnet18", weights="imagenet")


def test_weights_that_cannot_be_fetched_are_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(FileNotFoundError, match="put that file there, or train from scratch"):
        Branches(weights="imagenet")
    assert list(tmp_path.rglob("*.pth")) == []


def test_weights_have_the_digest_of_their_name() -> None:
    assert {name: url.rpartition("-")[2] for name, url in IMAGENET.items()} == {
        "resnet18": "f37072fd.pth",
        "alexnet": "7be5be79.pth",
    }


def test_importing_the_recognizers_loads_nothing_but_torch() -> None:
    code = (
        "import sys, recognizers;"
        "print({'torchvision', 'sklearn', 'scipy', 'skimage', 'feat'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
