"""``python -m mie_x`` is ``mie-x``."""

from mie_x.cli import main

main(prog_name="mie-x")
