"""Where events come from: the kernel, or a recording."""
