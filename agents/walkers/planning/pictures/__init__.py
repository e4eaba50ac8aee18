"""Networks of convolutions that check the ends of walks on pictures."""
