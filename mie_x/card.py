"""The dataset card: what a stranger must know before training on the dataset."""

from __future__ import annotations

from typing import Any

from mie_x.formats import FORMATS
from mie_x.markdown import plain

_CARD = """\
---
pretty_name: Synthetic micro-expressions made with mie-x
license: other
license_name: see-the-card
task_categories:
- image-classification
tags:
- synthetic
- micro-expression
- facs
annotations_creators:
- machine-generated
size_categories:
- {size}
configs:
- config_name: default
  data_files:
  - split: train
    path: {data_files}
---

# Synthetic micro-expressions

**Every frame of this dataset is synthetic**, and says so in a text chunk of its own.
{samples:,} samples, each {clip} of {pixels} x {pixels} pixels, of {identities:,} identities; made
by mie-x {version} after the MiE-X protocol (Liu et al., ECCV 2022). No frame shows a movement that
a person made.

| AU source | negative | positive | surprise | motion |
|---|---|---|---|---|
{table}

## Whose faces

{faces}

## Whose movements

{motions}

## How the frames were made

Generator `{weights}` ({kind}; trained on: {trained_on}; SHA-256 `{sha256}`), seed {seed}.
Labels are those asked of the generator, not those a coder read off the frames.

## How to read it

{how}

`sha256sum -c SHA256SUMS` checks every file, `mie-x verify --deep` every row and frame.

## Columns

{columns} `label`: 0 negative, 1 positive, 2 surprise. `emotion`: the source's
own word. `source`: mie (real micro-expressions), mae (early macro-expressions), exp (expert
tables). `onset_aus`, `apex_aus`: 17 intensities in [0, 1] (OpenFace / 5), in the order AU 1, 2, 4,
5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45. `origin_*`: whose movement it was; leave out
the rows of a test subject before training. `identity`: whose face it is; never put one identity
on both sides of a split. {measures}

## What it must not be used for

Judging what a person feels, hides or intends. A figure measured on rendered faces or stand-in
motions is not a figure on micro-expressions.

{failures}
"""


def dataset_card(manifest: dict[str, Any]) -> str:
    """Write the card (Markdown with a YAML head) of the dataset that MANIFEST describes."""
    settings = manifest["settings"]
    rows = [
        f"| {source} | {counts['negative']:,} | {counts['positive']:,} | {counts['surprise']:,} | "
        f"{'**stand-in**' if settings['sources'][source]['stand_in'] else _measured(source)} |"
        for source, counts in manifest["samples_by_source_and_label"].items()
    ]
    layout = FORMATS[settings["format"]]
    text: str = _CARD.format(
        size=_size_category(manifest["samples"]),
        data_files=layout.DATA_FILES,
        how=layout.HOW,
        clip=_clip(settings),
        columns=_columns(settings),
        samples=manifest["samples"],
        pixels=settings["size"],
        identities=manifest["identities"],
        version=settings["mie_x"],
        table="\n".join(rows),
        faces=_faces(settings["faces"]),
        motions=_motions(settings["sources"]),
        weights=plain(settings["weights"]["name"]),
        kind="GANimation's layers, moving the source"
        if settings["weights"]["motion"]
        else "GANimation",
        trained_on=plain(settings["weights"]["trained_on"]),
        sha256=settings["weights"]["sha256"],
        seed=settings["seed"],
        failures=_failures(manifest),
        measures=_measures(settings),
    )
    return text


def _clip(settings: dict[str, Any]) -> str:
    if settings["frames"] == 2:
        return "an onset and an apex frame"
    courses = {
        "rise": "from the onset to the apex",
        "full": "from the onset over the apex to the offset",
    }
    return f"a clip of {settings['frames']} frames {courses[settings['course']]}"


def _columns(settings: dict[str, Any]) -> str:
    if settings["frames"] == 2:
        return "`onset`, `apex`: PNG frames."
    fall = "`fall`: whether the way back was measured, or mirrors the rise."
    return (
        "`frames`: PNG frames, onset first; `apex_frame`: which of them is the apex, from 0; "
        f"`frame_aus`: their AUs. {fall if settings['course'] == 'full' else ''}"
    )


def _measures(settings: dict[str, Any]) -> str:
    if settings["measured_with"] is None:
        return "What the frames show was not measured."
    return (
        "`measured_delta_aus`: how much each AU rose from onset to apex, as the built-in AU "
        f"estimator measures it (SHA-256 `{settings['measured_with'][:12]}`; it learned from "
        "rendered faces and a few photographs, so it is an instrument, not a coder). "
        "`identity_cosine`: likeness of face and apex by their skin's texture. `changed_outside`: "
        "mean change, in grey levels, outside the parts of the face that the asked AUs move."
    )


def _failures(manifest: dict[str, Any]) -> str:
    missing, left_out = manifest["samples_missing"], manifest["left_out"]
    lines = []
    if missing:
        lines.append(f"{missing} planned samples are missing.")
    if left_out:
        lines.append(f"{left_out} entries in `failures.parquet` say what was left out, and why.")
    if below := manifest["samples_below_fidelity"]:
        least = manifest["settings"]["min_fidelity"]
        lines.append(
            f"{below} samples were left out because they show too little movement (< {least})."
        )
    if manifest["redacted"]:
        lines.append(f"Identities taken out after the fact: {len(manifest['redacted'])}.")
    return " ".join(lines) or "Nothing was left out."


def _measured(source: str) -> str:
    return "table of experts" if source == "exp" else "measured on real faces"


def _faces(faces: dict[str, Any]) -> str:
    if faces["kind"] == "rendered":
        return (
            "**Rendered.** The faces were drawn by a procedural renderer; they are nobody's. Its "
            "statistics of skin, hair and bone are set by hand: they cover no population."
        )
    licence: str = faces.get("licence") or (
        "**not stated** by whoever made this dataset; find out, and state it here, before you "
        "publish or use it"
    )
    return (
        f"Photographs of real people, cut out with `--align {faces['align']}` and moved by the "
        "generator. **The people stay recognisable**: treat the frames as pictures of them. "
        f"Licence and consent of the photographs: {plain(licence)}. "
        "A person who wants to leave is taken out with `mie-x redact`."
    )


def _motions(sources: dict[str, Any]) -> str:
    stand_ins = [name for name, settings in sources.items() if settings["stand_in"]]
    lines = []
    if stand_ins:
        lines.append(
            f"**Stand-in motions** in {' and '.join(stand_ins)}: invented AU curves, measured on "
            "nobody, so that the software runs without a licensed collection."
        )
    if measured := [name for name in sources if name not in stand_ins and name != "exp"]:
        lines.append(
            f"In {' and '.join(measured)}: AU intensities measured on real clips; `origin_*` name "
            "them. The licence of those collections applies to the AU values."
        )
    if "exp" in sources:
        lines.append("In exp: drawn from a table of experts, recorded in `manifest.json`.")
    return " ".join(lines)


def _size_category(samples: int) -> str:
    """The Hub's size classes.

    >>> _size_category(45_000)
    '10K<n<100K'
    """
    names = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M"]
    for name, limit in zip(names, (1e3, 1e4, 1e5, 1e6), strict=True):
        if samples < limit:
            return name
    return "1M<n<10M"
