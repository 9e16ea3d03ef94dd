"""Eulerian motion magnification: small periodic or slow changes made large before they are read.

Linear magnification of [1]: each frame is split into bands of spatial frequency, each band is
filtered in time, and a multiple of what passes is added to the frame. A first-order expansion: it
holds while (1 + alpha) times the movement stays below an eighth of the wavelength, which is why
short wavelengths get a smaller alpha (the bound of [1], section 3).

Ours: the bands are differences of Gaussians at full resolution, not a pyramid that is halved,
since frames are small; the coarsest band is magnified too, so that a change of the whole frame's
light is as well. EMR (FG 2019) magnifies its clips; its settings are not known to us.

1. H.-Y. Wu et al., "Eulerian Video Magnification for Revealing Subtle Changes in the World",
   SIGGRAPH 2012.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mie_x.records import Frames

PEAK = 6.54  # wavelengths to a sigma: where Gaussian(sigma) - Gaussian(2 sigma) lets most through

Clip = NDArray[np.float64]


def magnify(
    frames: Frames,
    *,
    alpha: float,
    low: float,
    high: float,
    fps: float,
    wavelength: float = 16.0,
    levels: int = 4,
) -> Frames:
    """Magnify what changes between LOW and HIGH hertz by 1 + ALPHA: (T, H, W, 3) uint8, T >= 2.

    FPS is frames per second. Shorter wavelengths get less than ALPHA: a wave of WAVELENGTH px some
    .7 of it, one four times as long .95, one of a quarter .2.
    LEVELS is how often the sigma of the bands doubles, from 1 px. The filter in time is ideal: a
    Fourier transform over the clip, which is taken to begin anew after its end, so that a clip
    that does not end as it began has a jump there. ValueError where no frequency of the clip
    (multiples of FPS / T) lies in the band.
    """
    if not 0 < low <= high <= fps / 2:
        raise ValueError(f"a band lies within 0 < low <= high <= fps / 2, not {low} to {high} Hz")
    clip = _checked(frames, alpha)
    frequencies = np.fft.rfftfreq(len(clip), 1 / fps)
    passed = (frequencies >= low) & (frequencies <= high)
    if not passed.any():
        raise ValueError(
            f"{len(clip)} frames at {fps} fps have no frequency from {low} to {high} Hz, only "
            f"multiples of {fps / len(clip):.3g}: widen the band or take a longer clip"
        )
    spectrum = np.fft.rfft(clip, axis=0)
    spectrum[~passed] = 0
    change = np.fft.irfft(spectrum, n=len(clip), axis=0)
    return _rounded(clip + _weighted(change, alpha, wavelength, levels))


def magnify_pair(
    onset: Frames, apex: Frames, *, alpha: float, wavelength: float = 16.0, levels: int = 4
) -> Frames:
    """The apex (H, W, 3) uint8, 1 + ALPHA times as far from the onset; two frames have no band."""
    pair = _checked(np.stack([onset, apex]), alpha)
    return _rounded(pair[1] + _weighted(pair[1:] - pair[:1], alpha, wavelength, levels)[0])


def _weighted(change: Clip, alpha: float, wavelength: float, levels: int) -> Clip:
    """Each band of a change (T, H, W, 3) times its own alpha, summed.

    From delta = wavelength / (8 (1 + alpha)), the movement that WAVELENGTH bears at ALPHA, a band
    of another length bears length / (8 delta) - 1.
    """
    from scipy.ndimage import gaussian_filter

    sum_of_bands, fine = np.zeros_like(change), change
    for sigma in 2.0 ** np.arange(levels):
        coarse = gaussian_filter(change, (0, sigma, sigma, 0), mode="nearest")
        length = PEAK * sigma / 2
        borne = (1 + alpha) * length / wavelength - 1
        sum_of_bands += np.clip(borne, 0, alpha) * (fine - coarse)
        fine = coarse
    return sum_of_bands + alpha * fine


def _checked(frames: Frames, alpha: float) -> Clip:
    if frames.dtype != np.uint8 or frames.ndim != 4 or len(frames) < 2:
        raise ValueError(f"frames are (T, H, W, 3) uint8, not {frames.shape} {frames.dtype}")
    if alpha < 0:
        raise ValueError(f"alpha is 0 or more, not {alpha}: less would remove movement")
    return frames.astype(np.float64)


def _rounded(clip: Clip) -> Frames:
    frames: Frames = np.clip(np.rint(clip), 0, 255).astype(np.uint8)
    return frames
