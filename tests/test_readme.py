"""What the README promises is there: its commands, its links, its first job."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from mie_x import samples
from mie_x.cli import main
from mie_x.manifest import read_manifest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_is_listed_and_exists() -> None:
    listed = set(re.findall(r"^\| `mie-x ([a-z-]+)", README, re.MULTILINE))
    assert listed == set(main.commands)


def test_the_check_command_is_the_one_that_runs_here() -> None:
    assert 'pip install -e ".[test]" && python -m tests\n' in BLOCKS


@pytest.mark.slow
def test_the_first_command_makes_a_dataset_with_the_weights_that_ship(tmp_path: Path) -> None:
    command = shlex.split(BLOCKS[0].split("&&")[1])
    assert command[:2] == ["mie-x", "generate"]
    done = CliRunner().invoke(main, [*command[1:], "--out", str(tmp_path / "mie-x-data")])
    assert done.exit_code == 0, done.output
    listed = read_manifest(tmp_path / "mie-x-data")
    assert listed["samples"] == 20 * 3 * 3
    assert listed["settings"]["weights"]["name"] == "compact.safetensors"
    for sample in samples.read(tmp_path / "mie-x-data"):
        assert (sample.frames[0] != sample.frames[1]).any()
