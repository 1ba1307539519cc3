"""4 Intent -> motion -> Touch: cursor, arm and the bodies to come."""
