"""What every command shares: options, the process, the terminal, and late imports."""
