"""What `volition train` can train, one file each."""
