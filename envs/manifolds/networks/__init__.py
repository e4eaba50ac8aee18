"""Small networks of the manifolds, and their numpy counterparts."""
