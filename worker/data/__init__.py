"""Route files that ship with the package; ours, in Bench2Drive's format."""
