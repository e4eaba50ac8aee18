"""From a `WorldConfig` to a `World`: data, classifier, manifold, reference data, calibration."""
