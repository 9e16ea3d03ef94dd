"""The whole check in one command: ``python -m tests``."""
