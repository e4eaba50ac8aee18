"""From a configuration to a `World`: data, classifier, manifold, calibration."""
