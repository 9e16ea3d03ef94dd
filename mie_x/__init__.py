"""mie-x: synthesize micro-expression datasets, and measure honestly whether they help.

Faces and AU sources make a plan, a generator makes the plan's frames, shards hold them,
recognizers learn from them, a report says what was measured. ``mie_x`` holds the records and
formats that all stations share; importing it imports nothing heavy.
"""

__version__ = "0.1.0"
