"""``python -m mie_x`` is ``mie-x``."""

from mie_x.cli import main

if __name__ == "__main__":
    main(prog_name="mie-x")
