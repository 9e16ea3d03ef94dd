"""Real collections, a file a layout, each with its reader and its stand-in writer. None is here yet."""
