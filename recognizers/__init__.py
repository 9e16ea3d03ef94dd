"""Recognizers of micro-expressions, a paper a file. None is here yet."""
