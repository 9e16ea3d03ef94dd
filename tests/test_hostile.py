"""What strangers hand us is read as data: nothing runs, nothing is fetched, nothing is unpacked."""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from au_sources import read_clips
from ganimation.checkpoints import load_generator
from mie_x.faces import photographs
from tests.test_layers import modules

READERS: dict[str, Callable[[Path], object]] = {
    "--faces": lambda path: photographs(path, align="none"),
    "--identities": lambda path: photographs(path.parent, align="none", identities=path),
    "--mie": lambda path: read_clips(path, source="mie"),
    "--mae": lambda path: read_clips(path, source="mae"),
    "--weights": lambda path: load_generator(path, unsafe_pickle=True),
}
REMEDIES = ("give the folder", "save it as CSV", "export", "fetch it again")


@pytest.mark.parametrize("option", READERS)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_is_refused_by_name_with_a_remedy_and_not_unpacked(
    tmp_path: Path, option: str, kind: str
) -> None:
    inner = tmp_path / "ann.png"
    Image.new("RGB", (64, 64)).save(inner)
    path = tmp_path / f"given.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inner, "../bob.png")
    else:
        with tarfile.open(path, f"w:{kind[4:]}") as archive:  # type: ignore[call-overload]
            archive.add(inner, "../bob.png")
    with pytest.raises((ValueError, OSError)) as caught:
        READERS[option](path)
    assert str(path) in str(caught.value)
    assert any(remedy in str(caught.value) for remedy in REMEDIES)
    assert sorted(tmp_path.iterdir()) == [inner, path]
    assert not (tmp_path.parent / "bob.png").exists()


def test_no_address_is_ever_called_and_no_program_started(tmp_path: Path) -> None:
    """Under a hook that ends the process, sound input is read and addresses are names of files."""
    Image.new("RGB", (64, 64)).save(tmp_path / "ann.png")
    code = """
import os, socket, sys
from pathlib import Path
from au_sources import read_clips
from ganimation.checkpoints import load_generator
from mie_x.faces import photographs

def watch(event, arguments):
    if event.split(".")[0] in ("socket", "urllib", "http", "ftplib", "subprocess", "pty") or (
        event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "webbrowser.open")
    ):
        print(event, arguments, file=sys.__stderr__, flush=True)
        os._exit(3)

sys.addaudithook(watch)
folder, who = Path(sys.argv[1]), Path(sys.argv[1], "who.csv")
assert photographs(folder, align="none").faces[0].image().shape == (128, 128, 3)
for address in sys.argv[2:]:
    who.write_text(f'file,identity\\n"{address}",ann\\n')
    (folder / "clips.csv").write_text(
        f'subject,clip,emotion,onset,apex,openface\\ns1,c1,fear,1,2,"{address}"\\n'
    )
    for reader in (
        lambda: photographs(folder, align="none", identities=who),
        lambda: photographs(folder, align="none", identities=Path(address)),
        lambda: photographs(Path(address), align="none"),
        lambda: read_clips(folder, source="mie"),
        lambda: read_clips(Path(address), source="mae"),
        lambda: load_generator(Path(address), unsafe_pickle=True),
    ):
        try:
            reader()
        except (ValueError, OSError) as error:
            print(error, flush=True)
socket.create_connection(("127.0.0.1", 9), timeout=1)  # the hook does see it
"""
    addresses = ["http://127.0.0.1:9/a.png", "https://127.0.0.1/a", "file:///etc/passwd", "s3://b"]
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *addresses],
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(run.stdout.splitlines()) == 6 * len(addresses), run.stderr
    assert (run.returncode, run.stderr.split(".")[0]) == (3, "socket")


# -- our own source ------------------------------------------------------------------------------

FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "breakpoint"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads"),
    *("shelve.open", "dill.load", "cloudpickle.load", "joblib.load"),
    *("pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("shutil.unpack_archive", "tempfile.mktemp", "runpy.run_path"),
}
"""What turns bytes into something that runs."""


def dangers(source: str) -> Iterator[str]:
    """Calls in SOURCE that run what they read."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        if (
            name in FORBIDDEN
            or name.endswith((".extractall", ".extract"))
            or (name == "torch.load" and not said(given, "weights_only", True))
            or (name == "np.load" and "allow_pickle" in given)
            or (name.startswith("subprocess.") and "shell" in given)
        ):
            yield f"line {node.lineno}: {name}"


def said(given: dict[str | None, ast.expr], word: str, value: Any) -> bool:
    return isinstance(found := given.get(word), ast.Constant) and found.value is value


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: str(value)[-40:])
def test_nothing_that_we_read_can_run(module: str, path: Path) -> None:
    assert list(dangers(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "x = [exec(y) for y in z]",
        "pickle.load(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "pd.read_pickle(path)",
        "subprocess.run(text, shell=True)",
        "archive.extractall()",
    ],
)
def test_what_could_run_is_seen(source: str) -> None:
    assert list(dangers(source))


def test_what_only_looks_like_it_is_not() -> None:
    source = "re.compile(x); model.eval(); torch.load(path, weights_only=True); np.load(path)"
    assert not list(dangers(source))
