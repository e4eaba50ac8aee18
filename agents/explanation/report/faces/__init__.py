"""What a card shows of the input, the turning point and the end: one face per modality."""
