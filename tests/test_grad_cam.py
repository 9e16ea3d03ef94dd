"""Grad-CAM shows the corner that an answer comes from, in every network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recognizers import RECOGNIZERS
from recognizers.grad_cam import STRENGTH, grad_cam, overlay
from recognizers.off_apexnet import OFFApexNet
from recognizers.settings import VIEWS
from recognizers.ststnet import STSTNet


def corners() -> Tensor:
    """Maps (3, 28, 28): u moves in the upper left corner, v in the lower right one."""
    maps = torch.zeros(3, 28, 28)
    maps[0, 3:8, 3:8] = 1
    maps[1, 20:25, 20:25] = 1
    return maps


def looking() -> STSTNet:
    """Class 0 is spoken for by u, 1 by v, 2 by nothing; each seen by a filter of the first stream.

    The other streams are blind.
    """
    network = STSTNet()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first = network.streams[0]
        assert isinstance(first, nn.Sequential)
        convolution, norm = first[0], first[2]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        norm.weight.fill_(1)
        for channel in (0, 1):
            convolution.weight[channel, channel, 1, 1] = 1  # a filter that gives the map back
            network.head.weight[channel, 25 * channel : 25 * channel + 25] = 1
    return network


def test_the_heat_is_in_the_corner_that_speaks_for_the_class() -> None:
    network = looking()
    for label, inside in enumerate([slice(3, 8), slice(20, 25)]):
        (heat,) = grad_cam(network, (corners(),), label)
        assert heat.shape == (28, 28)
        assert heat.dtype == np.float32
        assert heat.max() == 1
        assert (heat[inside, inside] == 1).all()
        heat[inside, inside] = 0
        assert not heat.any()


def test_where_nothing_speaks_for_a_class_there_is_no_heat() -> None:
    (heat,) = grad_cam(looking(), (corners(),), 2)
    assert not heat.any()


def test_what_speaks_against_a_class_is_left_out() -> None:
    network = looking()
    with torch.no_grad():
        network.head.weight[0, 25:50] = -5
    (heat,) = grad_cam(network, (corners(),), 0)
    assert heat[3:8, 3:8].min() > 0
    assert not heat[14:, 14:].any()


def test_maps_of_half_the_size_are_spread_over_the_picture() -> None:
    network = OFFApexNet()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        stream = network.streams[0]
        assert isinstance(stream, nn.Sequential)
        for layer in (0, 3):
            convolution = stream[layer]
            assert isinstance(convolution, nn.Conv2d)
            convolution.weight[0, 0, 2, 2] = 1
        first, second = network.hidden[0], network.hidden[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(second, nn.Linear)
        first.weight[0, :49] = 1  # all places of u's first map
        second.weight[0, 0] = 1
        network.head.weight[1, 0] = 1
    (heat,) = grad_cam(network, (corners(),), 1)
    rows, columns = np.nonzero(heat)
    assert heat[5, 5] == 1
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 8, 1, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECOGNIZERS)
def test_every_network_has_a_map_for_each_picture_it_looks_at(name: str) -> None:
    torch.manual_seed(0)
    network = RECOGNIZERS[name].build(classes=3)
    views = RECOGNIZERS[name].settings.views
    inputs = tuple(torch.rand(*VIEWS[view]) for view in views)
    heats = [grad_cam(network, inputs, label) for label in range(3)]
    pictures = {"branches": 2, "dtscnn": 2}.get(name, 1)
    for maps in heats:
        assert [heat.shape for heat in maps] == [VIEWS[views[0]][-2:]] * pictures
        assert all(heat.min() >= 0 and heat.max() in (0, 1) for heat in maps)
    assert any(heat.any() for maps in heats for heat in maps)
    assert network.training  # as it was
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_the_answer_does_not_depend_on_the_mode_of_the_network() -> None:
    torch.manual_seed(0)
    network, inputs = STSTNet(), (torch.rand(3, 28, 28),)
    first, second = (grad_cam(network.train(mode), inputs, 1) for mode in (True, False))
    assert np.array_equal(first[0], second[0])


def test_classes_and_networks_that_are_not_known_are_refused() -> None:
    with pytest.raises(ValueError, match="class 3 of 3"):
        grad_cam(looking(), (corners(),), 3)
    with pytest.raises(ValueError, match="Linear: its last maps are not known, only of Branches"):
        grad_cam(nn.Linear(1, 1), (corners(),), 0)


def test_an_overlay_colours_where_the_heat_is_and_nothing_else() -> None:
    frame = np.full((20, 30, 3), 100, np.uint8)
    heat = np.zeros((20, 30), np.float32)
    heat[:5, :5] = 1
    mixed = overlay(frame, heat)
    assert mixed.dtype == np.uint8
    assert (mixed[5:] == 100).all()
    assert (mixed[:, 5:] == 100).all()
    # inferno ends at (252, 255, 164).
    expected = (1 - STRENGTH) * 100 + STRENGTH * np.array([252, 255, 164])
    assert mixed[0, 0] == pytest.approx(expected, abs=1)


def test_an_overlay_resizes_the_heat_to_the_frame() -> None:
    heat = np.zeros((2, 2), np.float32)
    heat[1, 1] = 1
    mixed = overlay(np.full((64, 64, 3), 100, np.uint8), heat)
    assert (mixed[:16, :16] == 100).all()
    assert (mixed[60, 60] != 100).all()
