"""Pictures of paths: film strips, maps, GIFs, terminal tables."""
