"""GANimation (Pumarola et al., ECCV 2018): a face and 17 action unit intensities in, a frame out.

``networks`` is the paper's pair of networks, ``losses`` its terms, ``training`` fits them on drawn
faces and on photographs, which ``photographs`` moves by a known field; ``checkpoints`` reads and
writes weights (the two public formats too), ``animation`` turns faces into frames.
"""

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "compact.safetensors"
"""The generator that the package brings."""
