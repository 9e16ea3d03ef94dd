"""What a user names, made into faces and AU sources: the first two stations of every dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import au_sources
from au_sources import AuClip
from mie_x import __version__
from mie_x.faces import MARGIN, Align, Face, Faces, photographs, rendered
from mie_x.plan import Source
from mie_x.records import SOURCES
from mie_x.shards import Failure
from pipelines.extract import au_clips, named_collection
from pipelines.progress import Progress

RENDERED_IDENTITIES = 20  # when the user gives neither faces nor a number
PACKAGES = ("mie_x", "au_sources", "ganimation", "pipelines")  # whose code decides a sample


@dataclass(frozen=True)
class Place:
    """One of the people a dataset is asked for: a face, or the reason why there is none.

    A person without a face keeps the place: the samples are planned, counted as failures, and
    made by a later run in which the photograph can be used.
    """

    identity: str
    path: str
    face: Face | None
    reason: str = ""
    detail: str = ""

    def told(self) -> list[Any]:
        """Identity, path, SHA-256 and framing of the face, for a shard's footer."""
        if self.face is None:
            return [self.identity, self.path, None, None]
        matrix = getattr(self.face, "matrix", None)
        return [self.identity, self.path, self.face.sha256, matrix and list(matrix)]


@dataclass(frozen=True)
class Pool:
    """Whose faces: ``settings`` say what was asked for, ``found`` what was there.

    ``left_out`` are pictures that were not used and that cost no sample.
    """

    places: tuple[Place, ...]
    settings: dict[str, Any]
    found: dict[str, Any]
    left_out: tuple[Failure, ...] = ()


def code_sha256() -> str:
    """Hash of our own code: with other code the same settings may mean other samples."""
    digest = hashlib.sha256(__version__.encode())
    root = Path(__file__).parent.parent
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def make_sources(
    names: Sequence[str] = SOURCES,
    *,
    mie: Sequence[Path] = (),
    mae: Sequence[Path] = (),
    table: str = "miex_coded",
    interval: tuple[float, float] = (0.1, 0.3),
    early: tuple[float, float] = (0.25, 0.5),
) -> dict[str, Source]:
    """Build the AU sources in NAMES; built-in stand-ins where the user gives no table.

    MIE and MAE are tables, or collections: ``casme2=ROOT``.

    Raises ValueError or FileNotFoundError naming the table and the remedy.
    """
    for name, given in (("mie", mie), ("mae", mae)):
        if given and name not in names:
            raise ValueError(f"--{name} {given[0]} is given, but --sources leaves {name} out")
    both = bool(mie and mae)  # then one person may be in both, and must be known to be one
    clips = {
        name: tuple(clip for path in given for clip in _clips(path, source=name, need_corpus=both))
        if given
        else au_sources.stand_in_clips(name)
        for name, given in (("mie", mie), ("mae", mae))
        if name in names
    }
    options: dict[str, dict[str, Any]] = {
        "mie": {"clips": clips.get("mie")},
        "mae": {"clips": clips.get("mae"), "alpha": early[0], "beta": early[1]},
        "exp": {"table": table, "interval": interval},
    }
    made: dict[str, Source] = {}
    for name in names:
        source = au_sources.SOURCES[name](**options[name])
        if missing := source.missing_labels():
            tables = ", ".join(map(str, {"mie": mie, "mae": mae}.get(name, ())))
            raise ValueError(
                f"{tables}: no clip labelled {' or '.join(missing)} that {name} can use; "
                f"add some, or leave {name} out of --sources"
            )
        made[name] = source
    return made


def _clips(path: Path, *, source: str, need_corpus: bool) -> Sequence[AuClip]:
    """Clips of a table, or of a collection: NAME=ROOT."""
    if (named := named_collection(str(path))) is not None:
        return au_clips(*named, source=source)
    return au_sources.read_clips(path, source=source, need_corpus=need_corpus)


def find_faces(
    folder: Path | None,
    *,
    ids: int | None,
    seed: int,
    align: Align = "similarity",
    margin: float | None = None,
    identities: Path | None = None,
    cache: Path | None = None,
    licence: str | None = None,
    workers: int = 1,
) -> Pool:
    """Find the faces of FOLDER, or have them drawn where it is None."""
    if folder is None:
        for option, given in (
            ("--identities", identities),
            ("--cache", cache),
            ("--margin", margin),
            ("--faces-licence", licence),
        ):
            if given is not None:
                raise ValueError(f"{option} is for photographs; add --faces DIR")
        drawn = rendered(ids or RENDERED_IDENTITIES, seed=seed)
        places = tuple(Place(face.identity, face.path, face) for face in drawn)
        return Pool(places, {"kind": "rendered", "ids": len(drawn)}, {})
    margin = MARGIN if margin is None else margin
    found = photographs(
        folder,
        count=ids,
        align=align,
        margin=margin,
        identities=identities,
        cache=cache or "user",
        workers=workers,
        progress=Progress("photographs searched"),
    )
    places, left_out = _places(found, ids)
    settings = {
        "kind": "photographs",
        "ids": ids,
        "align": align,
        "margin": margin,
        "licence": licence,
    }
    told = {
        "pictures": found.pictures,
        "people_in_pictures": found.people,
        "pictures_not_listed": found.unlisted,
        "links_not_followed": found.links,
    }
    return Pool(places, settings, told, left_out)


def _places(found: Faces, ids: int | None) -> tuple[tuple[Place, ...], tuple[Failure, ...]]:
    """Everybody who was asked for; those without a face too, unless others took their places."""
    faces = {face.identity: face for face in found.faces}
    enough = ids is not None and len(faces) == ids
    last = {failure.identity: failure for failure in found.failures}
    # A picture that cannot be named is no known person's.
    faceless = {
        name
        for name, failure in last.items()
        if name not in faces and failure.reason != "bad name" and not enough
    }
    places = []
    for identity in sorted(faces.keys() | faceless):
        if (face := faces.get(identity)) is not None:
            places.append(Place(identity, face.path, face))
        else:
            why = last[identity]
            places.append(Place(identity, why.path, None, why.reason, why.detail))
    left_out = tuple(
        Failure("face", failure.identity, failure.path, None, failure.reason, failure.detail)
        for failure in found.failures
        if failure.identity not in faceless
    )
    return tuple(places), left_out
