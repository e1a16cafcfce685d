"""One simulator, kept alive and driven: keeper, host, backends, and the embedded world."""
