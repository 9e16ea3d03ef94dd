"""The verbs of the project, a file each: the only place that knows faces, sources, generator and shards."""
