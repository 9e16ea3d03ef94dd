"""A contact sheet of a dataset: nobody sees a micro-expression without it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mie_x.manifest import read_manifest
from mie_x.records import AUS, LABELS, SIZE, Aus, Frames, Sample
from mie_x.samples import read
from mie_x.whole import whole

GAIN = 10  # how much the difference is exaggerated
TEXT_WIDTH = 250
PANELS_ACROSS = 2
_NAMES = {value: name for name, value in LABELS.items()}


def difference(onset: Frames, apex: Frames) -> Frames:
    """Exaggerate what changed: (H, W, 3) uint8, middle gray where nothing did."""
    change = apex.astype(np.int16) - onset.astype(np.int16)
    return (128 + GAIN * change).clip(0, 255).astype(np.uint8)


def describe_aus(aus: Aus) -> str:
    """Name the AUs that are there, strongest first.

    >>> describe_aus(np.array([0.1, 0, 0, 0, 0, 0, 0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0, 0]))
    'AU12 .25  AU1 .10'
    """
    order = np.argsort(-aus, kind="stable")
    named = [f"AU{AUS[i]} {aus[i]:.2f}".replace(" 0.", " .") for i in order if aus[i] >= 0.005]
    return "  ".join(named) or "none"


def chosen(folder: Path, count: int) -> list[Sample]:
    """About COUNT samples spread over a finished dataset, of every label."""
    total = read_manifest(folder)["samples"]
    if total == 0:
        raise ValueError(f"{folder} holds no sample; failures.parquet says why")
    step = max(1, total // count)
    step += step % 3 == 0  # labels repeat every three rows: a step of three would show one alone
    return list(itertools.islice(read(folder, step=step), count))


def contact_sheet(folder: Path, *, count: int = 24) -> Frames:
    """Draw about COUNT samples of a finished dataset: onset, apex, difference, and words."""
    return _sheet([_panel(sample) for sample in chosen(folder, count)])


def _panel(sample: Sample) -> Frames:
    onset, apex = sample.frames[0], sample.frames[sample.apex]
    height, width, _ = onset.shape
    panel = Image.new("RGB", (3 * width + TEXT_WIDTH, height), "white")
    for place, frame in enumerate((onset, apex, difference(onset, apex))):
        panel.paste(Image.fromarray(frame), (place * width, 0))
    draw = ImageDraw.Draw(panel)
    change = np.abs(apex.astype(np.int16) - onset.astype(np.int16))
    origin = "/".join(sample.origin) if sample.origin else "no origin"
    lines = [sample.key, f"{_NAMES[sample.label]}", origin]
    if sample.aus is not None:
        lines += _wrapped("onset " + describe_aus(sample.aus[0]))
        lines += _wrapped("apex " + describe_aus(sample.aus[sample.apex]))
    lines.append(f"change: mean {change.mean():.2f}, largest {change.max()} of 255")
    draw.multiline_text(
        (3 * width + 6, 2), "\n".join(lines), "black", ImageFont.load_default(11), spacing=1
    )
    return np.asarray(panel)


def _wrapped(text: str, words: int = 3) -> list[str]:
    parts = text.split("  ")
    return ["  ".join(parts[i : i + words]) for i in range(0, len(parts), words)]


def _sheet(panels: list[Frames]) -> Frames:
    blank = np.full_like(panels[0], 255)
    panels = panels + [blank] * (-len(panels) % PANELS_ACROSS)
    rows = [
        np.concatenate(panels[i : i + PANELS_ACROSS], axis=1)
        for i in range(0, len(panels), PANELS_ACROSS)
    ]
    head = Image.new("RGB", (rows[0].shape[1], 18), "white")
    draw = ImageDraw.Draw(head)
    for across in range(PANELS_ACROSS):
        for place, word in enumerate(("onset", "apex", f"difference x {GAIN}")):
            x = across * panels[0].shape[1] + place * SIZE + 4
            draw.text((x, 2), word, "black", ImageFont.load_default(12))
    return np.concatenate([np.asarray(head), *rows], axis=0)


def preview(folder: Path, out: Path, *, count: int = 24) -> Path:
    """Write the contact sheet of FOLDER as a PNG file."""
    sheet = contact_sheet(folder, count=count)
    with whole(out) as partial:
        Image.fromarray(sheet).save(partial, "PNG")
    return out
