"""What the person tries to do, and how it is scored."""
