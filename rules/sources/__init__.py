"""Where events come from, and the fields each source has."""
