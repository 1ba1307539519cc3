"""Reading and writing: one format a file, each importing its own extra."""
