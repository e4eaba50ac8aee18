"""Figures of paths: film strips, curves, maps, animations, terminal; `renderer` has what differs by modality."""
