"""The sentence VAE (Bowman and others, 2016) and what is done with it."""
