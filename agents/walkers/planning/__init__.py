"""Planning of the last step of a walk, on a surrogate of the classifier."""
