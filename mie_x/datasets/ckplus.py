"""CK+ (Lucey et al., CVPRW 2010): 593 acted expressions of 123 subjects, from neutral to the peak.

::

    ROOT/cohn-kanade-images/S005/001/S005_001_00000001.png   grey or colour, 640 x 480 or 490
    ROOT/Emotion/S005/001/S005_001_00000011_emotion.txt      "   3.0000000e+00"
    ROOT/FACS/S005/001/S005_001_00000011_facs.txt            "   9.0000000e+00   4.0000000e+00"

There is no sheet: a row is a sequence's folder in any of the three. Every clip is macro. Frame 1 is
neutral, so the onset; the last is the peak, so apex and offset, and the one that the label files
are named for: where these tell of a later one, the copy has lost its peak. 266 folders of emotions
are empty: none fitted, so no emotion and no label. Without ``FACS`` the clips have no action units;
its lines are a unit and its intensity, here written as FACS does: 9 with 4 is ``9D``, and 0,
"present, not coded", is no letter.

Classes: anger, contempt, disgust, fear, sadness are negative, happy is positive, surprise is
surprise: 175, 69 and 83 of 327. MiE-X's own lists have sadness as positive: a mistake of theirs.
Neutral has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mie_x.datasets import standin
from mie_x.datasets.collection import Collection, Published, handed_out, make_clip
from mie_x.datasets.footage import LAST_NUMBER, Pictures, folders, listed, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.records import AUS, Clip, Origin
from mie_x.whole import write_text

NAME, TITLE = "ckplus", "CK+"
IMAGES, EMOTION, FACS = "cohn-kanade-images", "Emotion", "FACS"
ENDINGS = {EMOTION: "_emotion.txt", FACS: "_facs.txt"}
EMOTIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
LABEL_OF = {
    "anger": "negative",
    "contempt": "negative",
    "disgust": "negative",
    "fear": "negative",
    "sadness": "negative",
    "happy": "positive",
    "surprise": "surprise",
}
LETTERS = ("", "A", "B", "C", "D", "E")  # FACS's trace to maximum; 0 is "present, not coded"
MOST = 4096  # bytes of a label file; the originals have some hundred


def read(root: Path) -> Iterator[Clip]:
    """Every sequence, in the order of subjects and numbers; FileNotFoundError without labels."""
    yield from handed_out(_sequences(root))


def _sequences(root: Path) -> Iterator[Clip]:
    for name in (IMAGES, EMOTION):
        if not (root / name).is_dir():
            raise FileNotFoundError(
                f"{root}: no folder {name} of {TITLE}; unpack what you were given so that it has "
                f"{IMAGES}, {EMOTION} and {FACS}"
            )
    sequences = {
        (subject, number)
        for tree in (IMAGES, EMOTION, FACS)
        for subject in folders(root / tree)
        for number in folders(root / tree / subject)
    }
    for subject, number in sorted(sequences):
        path = f"{subject}/{number}"
        footage = pictures(root / IMAGES / path, path)
        labels = {tree: _labels(root / tree / path, ending) for tree, ending in ENDINGS.items()}
        keys = _key_frames(footage, [file.name for some in labels.values() for file in some])
        emotion = _emotion(labels[EMOTION], keys)
        aus = _action_units(labels[FACS], keys)
        yield _clip(footage, keys, emotion, aus)


def _clip(
    footage: Pictures, keys: KeyFrames, emotion: str, aus: str, *, stand_in: bool = False
) -> Clip:
    subject, number = footage.name.split("/")
    return make_clip(
        Origin(NAME, subject, f"{subject}_{number}"),
        footage,
        keys,
        emotion,
        LABEL_OF,
        fps=None,
        stand_in=stand_in,
        aus=aus,
        kind="macro",
    )


def _labels(folder: Path, ending: str) -> list[Path]:
    return [folder / name for name in listed(folder) if name.endswith(ending)]


def _named_for(label: str) -> int:
    """The frame that a label file is named for; 0 where its name does not tell."""
    found = LAST_NUMBER.search(label.removesuffix(".txt"))
    return int(found[1]) if found else 0


def _key_frames(footage: Pictures, labels: Sequence[str]) -> KeyFrames:
    """From frame 1 to the last, or to a later one that LABELS are named for and that is lost."""
    if not footage.numbers:
        return KeyFrames(problem="no frames")
    peak = str(max(footage.numbers[-1], *map(_named_for, labels), 0))
    return key_frames("1", peak, peak, footage.numbers, apex_from="last")


def _emotion(files: Sequence[Path], keys: KeyFrames) -> str:
    """The word of a sequence's emotion file, "" where it has none."""
    values = _values(files, keys)
    if not values:
        return ""
    if len(values) > 1 or values[0] not in range(len(EMOTIONS)):
        keys.odd.append(f"its emotion file holds {values}: no code of an emotion")
        return ""
    return EMOTIONS[int(values[0])]


def _action_units(files: Sequence[Path], keys: KeyFrames) -> str:
    """The units of a sequence's FACS file: ``1C+2+25``."""
    values = _values(files, keys)
    units, intensities = values[::2], values[1::2]
    whole = all(value.is_integer() and value > 0 for value in units)
    if len(values) % 2 or not whole or not all(value in range(6) for value in intensities):
        keys.odd.append(f"its FACS file holds {values}: no units and intensities")
        return ""
    pairs = zip(units, intensities, strict=True)
    return "+".join(f"{int(au)}{LETTERS[int(intensity)]}" for au, intensity in pairs)


def _values(files: Sequence[Path], keys: KeyFrames) -> list[float]:
    """Numbers in the first of label FILES; [] without any. What is strange goes to KEYS."""
    if not files:
        return []
    name = files[0].name
    if len(files) > 1:
        keys.odd.append(f"{len(files)} files such as {name}: this one taken")
    told = _named_for(name)
    if told and keys.apex is not None and told != keys.apex:
        keys.odd.append(f"{name} is not named for its last frame {keys.apex}")
    with files[0].open("rb") as file:
        words = file.read(MOST).split()
    try:
        return [float(word) for word in words]
    except ValueError:
        keys.odd.append(f"{name} holds no numbers")
        return []


def write_standin(
    root: Path, *, subjects: int = 6, clips: int = 24, seed: int = 0, workers: int = 1
) -> list[Clip]:
    """Write a stand-in to ROOT; returns what ``read`` is to find there.

    With the original's quirks: every third folder of emotions is empty; grey sequences and colour;
    units that are present and not coded; files without a final newline; a subject S999; hidden
    files.
    """
    shares = {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28,
              "surprise": 83}  # fmt: skip
    made: dict[str, Clip] = {}
    reels = []
    for number, (who, emotion) in enumerate(standin.cast(subjects, clips, shares, seed=seed)):
        last_of_many = 0 < who == subjects - 1
        subject, sequence = "S999" if last_of_many else f"S{who + 5:03d}", f"{number + 1:03d}"
        path = f"{subject}/{sequence}"
        stem = f"{subject}_{sequence}_"
        take = standin.take(NAME, seed, subject, path, emotion, kind="macro", fps=30, fall=False)
        last = len(take.aus)
        files = {n: f"{stem}{n:08d}.png" for n in range(1, last + 1)}
        footage = Pictures(path, root / IMAGES / path, files)
        reels.append(standin.Reel(take.shot(gray=who % 3 != 1), footage.folder, footage.names))
        standin.write_openface(root, path, footage.names, take.aus, seed=take.seed)
        ending = "" if number == 1 else "\n"
        labelled = number % 3 != 2
        (root / EMOTION / path).mkdir(parents=True)
        if labelled:
            code = f"   {EMOTIONS.index(emotion):.7e}{ending}"
            write_text(root / EMOTION / path / f"{stem}{last:08d}_emotion.txt", code)
        levels = {
            au: 0 if value < 0.3 else min(5, int(5 * value) + 1)
            for au, value in zip(AUS, take.aus[take.apex].tolist(), strict=True)
            if value >= 0.08
        }
        (root / FACS / path).mkdir(parents=True)
        lines = "\n".join(f"   {au:.7e}   {level:.7e}" for au, level in levels.items())
        write_text(root / FACS / path / f"{stem}{last:08d}_facs.txt", lines + ending)
        made[path] = _clip(
            footage,
            KeyFrames(1, last, last, apex_from="last"),
            emotion if labelled else "",
            "+".join(f"{au}{LETTERS[level]}" for au, level in levels.items()),
            stand_in=True,
        )
    standin.write_reels(reels, workers=workers)
    for tree in (IMAGES, EMOTION):
        (root / tree / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / ".DS_Store").write_bytes(b"\0")
    in_order = [made[path] for path in sorted(made)]
    standin.mark(root, TITLE, in_order, seed=seed)
    return in_order


CKPLUS = Collection(
    NAME,
    TITLE,
    "Affect Analysis Group, University of Pittsburgh; agreement, non-commercial research",
    "happy: positive; anger, contempt, disgust, fear, sadness: negative; surprise: surprise; "
    "neutral and unlabelled: none",
    read,
    write_standin,
    (
        Published(
            "CK+, release of 2010",
            593,
            123,
            labels={"negative": 175, "positive": 69, "surprise": 83},
            kind="macro",
        ),
    ),
)
