"""Is a copy of a collection whole, and the one that was published? Everything found, as data.

A *fault* is what a sound copy does not have: other counts than published, frames that a row of the
sheet names and that are not there, empty or unreadable files, a clip's frames in another's place.
What the collection itself brings is no fault of the copy and is told apart: *excluded* rows that
nobody can use, *repaired* ones, and what is *odd*.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from mie_x.cells import inert
from mie_x.datasets import standin
from mie_x.datasets.collection import MARK, Collection, Published, counts, place, standin_mark
from mie_x.datasets.facs import action_units
from mie_x.datasets.footage import PICTURES, Pictures, Unreadable, walk
from mie_x.records import LABELS, Clip
from mie_x.whole import whole

LEVELS = ("fault", "excluded", "repaired", "odd")
MOST_NAMED = 3  # files of one clip that a finding names; it counts them all
LONGEST = 600  # characters of a line
MOST_ALIKE = 5  # lines of one wording; the table of findings has them all


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One thing that was found; ``where`` is a clip, a file or a count; ``level`` of ``LEVELS``."""

    level: str
    where: str
    what: str


@dataclass(frozen=True)
class Checked:
    """What a copy holds, kind by kind (``collection.counts``), what it should, what was found.

    ``expected`` names the release, or the stand-in, that ``counted`` was held against, kind by
    kind; {} where nothing is published. ``coded`` are clips by action unit, as coders saw them
    (``facs.action_units``, the sure ones), kind by kind.
    """

    clips: int
    stand_in: bool
    counted: dict[str, dict[str, Any]]
    coded: dict[str, dict[int, int]]
    expected: dict[str, Published]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "fault")


def check(
    collection: Collection,
    root: Path,
    *,
    deep: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Read every row of the collection in ROOT, look at its files, count.

    Onset, apex and offset of every clip are decoded; with DEEP every frame in between too. Raises
    FileNotFoundError or ValueError where there is no sheet to read.
    """
    clips = list(collection.read(root))
    # the root's own, or that of the frames where the root is above it
    marks = (standin_mark(path) for path in (root, *(place(clip.footage) for clip in clips)))
    mark = next(filter(None, marks), None)
    told = None if mark is None else standin.told_counts(mark.parent)
    counted = {kind: counts(clips, kind=kind) for kind in sorted({clip.kind for clip in clips})}
    expected = _expected(collection, counted, told)
    findings = [finding for clip in clips for finding in _of_sheet(clip)]
    findings += _of_counts(counted, expected)
    findings += [finding for clip in clips for finding in _gaps(clip, normal=collection.gaps)]
    of_footage = {clip.footage.name: clip for clip in reversed(clips)}
    findings += [finding for clip in of_footage.values() for finding in _of_footage(clip)]
    findings += _of_files(clips, deep=deep, workers=workers, progress=progress)
    findings += _unlisted(root, clips)
    in_turn = sorted(set(findings), key=lambda f: (LEVELS.index(f.level), f.where, f.what))
    coded = {kind: _coded(clip for clip in clips if clip.kind == kind) for kind in counted}
    return Checked(len(clips), told is not None, counted, coded, expected, tuple(in_turn))


def _coded(clips: Iterable[Clip]) -> dict[int, int]:
    units = Counter(
        au for clip in clips for au in {unit.au for unit in action_units(clip.aus) if unit.sure}
    )
    return dict(sorted(units.items()))


def _expected(
    collection: Collection, counted: dict[str, Any], told: dict[str, Any] | None
) -> dict[str, Published]:
    """The release that each kind's counts come closest to; of a stand-in what it says of itself."""
    if told is not None:
        names = {field.name for field in fields(Published)}
        return {
            kind: Published(MARK, **{n: v for n, v in of.items() if n in names}, kind=kind)
            for kind, of in told.items()
        }
    nearest = {}
    for kind in sorted({release.kind for release in collection.published}):
        releases = [release for release in collection.published if release.kind == kind]
        found = counted.get(kind) or counts([], kind=kind)
        nearest[kind] = min(releases, key=lambda release: len(list(_differences(found, release))))
    return nearest


def _of_counts(counted: dict[str, Any], expected: dict[str, Published]) -> Iterator[Finding]:
    for kind, release in expected.items():
        found = counted.get(kind) or counts([], kind=kind)
        for what, there, wanted in _differences(found, release):
            where = f"{kind} {what}"
            yield Finding("fault", where, f"{there} found, {wanted} in {release.source}")


def _differences(found: dict[str, Any], release: Published) -> Iterator[tuple[str, Any, Any]]:
    for what in ("clips", "subjects"):
        wanted = getattr(release, what)
        if wanted is not None and found[what] != wanted:
            yield what, found[what], wanted
    for what in ("emotions", "labels"):
        wanted = getattr(release, what)
        for name in sorted({*wanted, *found[what]} if wanted else ()):
            if wanted.get(name, 0) != found[what].get(name, 0):
                yield f"{name} clips", found[what].get(name, 0), wanted.get(name, 0)
    classes = "/".join(LABELS)
    for name in sorted({*release.by_subject, *found["by_subject"]} if release.by_subject else ()):
        there = tuple(found["by_subject"].get(name, (0, 0, 0)))
        if there != tuple(release.by_subject.get(name, (0, 0, 0))):
            wanted = release.by_subject.get(name, (0, 0, 0))
            yield f"subject {name} ({classes})", _slashed(there), _slashed(wanted)


def _slashed(numbers: Sequence[int]) -> str:
    return "/".join(map(str, numbers))


def _name(clip: Clip) -> str:
    return "/".join(clip.origin)


def _of_sheet(clip: Clip) -> Iterator[Finding]:
    """What the reader says of a row; what is missing on the disk is ``_missing``'s to say."""
    if clip.problem == "in the sheet twice":
        yield Finding("fault", _name(clip), clip.problem)
    elif clip.problem and not list(_missing(clip)):
        yield Finding("excluded", _name(clip), clip.problem)
    for what in clip.repaired:
        yield Finding("repaired", _name(clip), what)
    for what in clip.odd:
        if not what.endswith("missing between onset and offset"):
            yield Finding("odd", _name(clip), what)


def _missing(clip: Clip) -> Iterator[str]:
    """Which frames that the row names are not there."""
    numbers = clip.footage.numbers
    if not len(numbers):
        yield f"no frames in {clip.footage.name}"
        return
    there = set(numbers)
    for name in ("onset", "apex", "offset"):
        number = getattr(clip, name)
        if number is not None and number not in there:
            yield f"frame {number}, its {name}, is not there ({numbers[0]} to {numbers[-1]} are)"


def _gaps(clip: Clip, *, normal: bool) -> Iterator[Finding]:
    """Frames that are missing in between; a fault unless that is NORMAL in this collection."""
    if clip.onset is None or clip.offset is None or not len(clip.footage.numbers):
        return
    there = set(clip.footage.numbers)
    if count := clip.offset - clip.onset + 1 - len(clip.numbers):
        every = (n for n in range(clip.onset, clip.offset + 1) if n not in there)
        told = _some([*islice(every, MOST_NAMED)], count)  # a slip in a sheet may name millions
        what = f"{count} frames missing from onset to offset: {told}"
        yield Finding("odd" if normal else "fault", _name(clip), what)


def _some(items: Sequence[object], count: int | None = None) -> str:
    """The first of ITEMS, of which there are COUNT."""
    more = (len(items) if count is None else count) - MOST_NAMED
    told = ", ".join(map(str, items[:MOST_NAMED]))
    return told + (f" and {more} more" if more > 0 else "")


def _of_files(
    clips: Sequence[Clip],
    *,
    deep: bool,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Finding]:
    from joblib import Parallel, delayed

    looked = Parallel(n_jobs=workers, return_as="generator")(
        delayed(_look)(clip, deep=deep) for clip in clips
    )
    owners: dict[str, tuple[Clip, str]] = {}
    for done, (clip, (found, prints)) in enumerate(zip(clips, looked, strict=True), 1):
        yield from found
        yield from _copied(clip, prints, owners)
        if progress is not None:
            progress(done, len(clips))


def _copied(
    clip: Clip, prints: dict[str, str], owners: dict[str, tuple[Clip, str]]
) -> Iterator[Finding]:
    """Frames that another footage has too, byte by byte; PRINTS are added to OWNERS.

    Clips cut from one recording may share frames: those of one subject whose numbers are the
    recording's, so that a frame has the same name in both.
    """
    shared: dict[str, list[bool]] = defaultdict(list)
    for digest, file in prints.items():
        other, its_file = owners.setdefault(digest, (clip, file))
        if other.footage.name != clip.footage.name:
            same = (clip.origin.subject, file) == (other.origin.subject, its_file)
            shared[_name(other)].append(same and clip.footage.numbers[0] > 1)
    for name, cut in shared.items():
        if len(cut) == len(prints):
            what = f"its frames are those of {name}: one was copied over the other"
            yield Finding("fault", _name(clip), what)
        elif all(cut):
            what = f"shares frames with {name}: cut from one recording, or copied"
            yield Finding("odd", _name(clip), what)
        else:
            what = f"some of its frames are those of {name}: copied over its own"
            yield Finding("fault", _name(clip), what)


def _of_footage(clip: Clip) -> Iterator[Finding]:
    """What is wrong with the files of CLIP's footage, whether or not they are its own frames."""
    footage, name = clip.footage, _name(clip)
    if not isinstance(footage, Pictures) or not footage.files:
        return
    if empty := [file for file in footage.names if not (footage.folder / file).stat().st_size]:
        yield Finding("fault", name, f"{len(empty)} empty files: {_some(empty)}")
    if footage.twice:
        yield Finding("fault", name, f"number of another file in {_some(footage.twice)}")


def _look(clip: Clip, *, deep: bool) -> tuple[list[Finding], dict[str, str]]:
    """Findings on the frames of one clip; digests of some, and the files that they are of."""
    name = _name(clip)
    found = [Finding("fault", name, what) for what in _missing(clip)]
    numbers = clip.numbers
    ends = {n for n in (clip.onset, clip.apex, clip.offset) if n is not None}
    chosen = numbers if deep else [number for number in numbers if number in ends]
    prints = {}
    if isinstance(clip.footage, Pictures) and (every := clip.footage.numbers):
        for number in {every[0], every[len(every) // 2], every[-1], *ends.intersection(every)}:
            path = clip.footage.path(number)
            if path.stat().st_size:
                with path.open("rb") as file:
                    prints[hashlib.file_digest(file, "sha256").hexdigest()] = path.name
    unreadable, sizes = [], Counter[tuple[int, ...]]()
    for number in chosen:
        try:
            sizes[clip.footage.frame(number).shape[:2]] += 1
        except (Unreadable, KeyError) as error:
            unreadable.append(f"frame {number} ({error})")
    if unreadable:
        found.append(Finding("fault", name, f"{len(unreadable)} unreadable: {_some(unreadable)}"))
    if len(sizes) > 1:
        told = ", ".join(f"{count} of {h} x {w}" for (h, w), count in sizes.most_common())
        found.append(Finding("fault", name, f"frames of several sizes: {told}"))
    return found, prints


def _unlisted(root: Path, clips: Iterable[Clip]) -> Iterator[Finding]:
    """Pictures beside the clips' own, in folders that no row of the sheet names."""
    listed: dict[Path, set[str]] = defaultdict(set)
    for clip in clips:
        if isinstance(clip.footage, Pictures) and clip.footage.files:
            listed[clip.footage.folder].update(clip.footage.files.values(), clip.footage.twice)
    if not listed:
        return
    top = Path(os.path.commonpath([folder.parent for folder in listed]))
    for here, _, files in walk(top):
        own = listed.get(here, set())
        strangers = [
            name for name in files if Path(name).suffix.lower() in PICTURES and name not in own
        ]
        if strangers:
            where = os.path.relpath(here, root)
            what = f"{len(strangers)} pictures that no row of the sheet names: {_some(strangers)}"
            yield Finding("odd", where, what)


def lines(collection: Collection, checked: Checked) -> Iterator[str]:
    """CHECKED as text: counts beside the published ones, subjects by class, then the findings.

    Whatever cells and names hold, a line is one line, and of some length.
    """
    for line in _lines(collection, checked):
        shown = " ".join(line.splitlines())
        yield shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} ..."


def _lines(collection: Collection, checked: Checked) -> Iterator[str]:
    yield f"{collection.title}: {checked.clips} rows in its sheets"
    if checked.stand_in:
        yield f"STAND-IN: rendered people, held against its own {MARK}"
    for kind in sorted({*checked.counted, *checked.expected}):
        found = checked.counted.get(kind) or counts([], kind=kind)
        release = checked.expected.get(kind)
        yield ""
        yield (
            f"{kind}, held against {release.source}" if release else f"{kind}, no counts published"
        )
        for what in ("clips", "subjects"):
            yield _row(what, found[what], getattr(release, what, None))
        for what in ("emotions", "labels"):
            wanted = getattr(release, what, {})
            for name in sorted({*found[what], *wanted}):
                there = found[what].get(name, 0)
                yield _row(name, there, wanted.get(name, 0) if wanted else None)
        if units := checked.coded.get(kind):
            yield "  clips by AU: " + ", ".join(f"{au} {count}" for au, count in units.items())
        yield f"  by subject ({', '.join(LABELS)}):"
        by_subject = getattr(release, "by_subject", {})
        for name in sorted({*found["by_subject"], *by_subject}):
            there = _slashed(found["by_subject"].get(name, (0, 0, 0)))
            wanted = _slashed(by_subject.get(name, (0, 0, 0))) if by_subject else None
            yield _row(name, there, wanted)
    yield ""
    for level in LEVELS:
        some = [finding for finding in checked.findings if finding.level == level]
        if some:
            yield f"{level}: {len(some)}"
            shown = _each(some) if level == "fault" else in_few_lines(some)
            yield from (f"  {line}" for line in shown)
    yield f"{len(checked.faults)} faults" if checked.faults else "no fault"


def _each(findings: Iterable[Finding]) -> Iterator[str]:
    return (f"{finding.where}: {finding.what}" for finding in findings)


def in_few_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line each, but one for many of the same wording, with their number."""
    of: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        of[finding.what].append(finding.where)
    for finding in findings:
        places = of[finding.what]
        if len(places) <= MOST_ALIKE:
            yield from _each([finding])
        elif finding.where == places[0]:
            yield f"{len(places)} times: {finding.what} ({_some(places)})"


def _row(name: str, there: object, wanted: object | None) -> str:
    told = "" if wanted is None else "" if wanted == there else f"   but there: {wanted}"
    return f"  {name:24} {there!s:>9}{told}"


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write FINDINGS as CSV: level, where, what."""
    odd_bytes = "backslashreplace"  # names of files need not be UTF-8
    with (
        whole(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors=odd_bytes, newline="") as file,
    ):
        writer = csv.DictWriter(file, [field.name for field in fields(Finding)])
        writer.writeheader()
        for finding in findings:
            writer.writerow({name: inert(text) for name, text in asdict(finding).items()})
