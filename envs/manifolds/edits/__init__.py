"""The manifold of edits: every frame is a sentence, and neighbouring frames differ by one span of words."""
