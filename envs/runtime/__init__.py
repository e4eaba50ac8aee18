"""What holds while the library computes: one thread, torch's defaults, plain numbers, progress bars."""
