"""The sentence VAE of Bowman and others (2016) and its uses: decoding, imputation, homotopies."""
