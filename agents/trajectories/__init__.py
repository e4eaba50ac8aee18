"""The trajectory: one walk from an input to where the classifier's prediction changes."""
