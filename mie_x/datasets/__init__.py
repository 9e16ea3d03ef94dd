"""Real collections: a file a layout, each with reader and stand-in writer. None yet."""
