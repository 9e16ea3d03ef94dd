"""The verbs of the project, a file each: the only place that knows every station."""
