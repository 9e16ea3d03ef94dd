"""Procedural faces: invented people whose action units, landmarks and optical flow are known.

A smooth height field of a head, drawn with parameters from a seed, is deformed by action units
and lit. No photograph of anybody is in it, and it is no photograph: what is rendered here is
synthetic, and to be called so.

>>> from mie_x.renderer import draw_person, reference_view, render
>>> import numpy as np
>>> frames = render([draw_person(1)], [reference_view()], np.zeros((1, 17)))
>>> frames.images.shape
(1, 128, 128, 3)
"""

from mie_x.renderer.action_units import BANDS
from mie_x.renderer.camera import View, draw_view, reference_view
from mie_x.renderer.identity import Person, draw_person
from mie_x.renderer.picture import LANDMARKS, Rendering, band_mask, render

__all__ = [
    "BANDS",
    "LANDMARKS",
    "Person",
    "Rendering",
    "View",
    "band_mask",
    "draw_person",
    "draw_view",
    "reference_view",
    "render",
]
