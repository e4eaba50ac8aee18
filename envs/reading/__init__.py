"""Reading what others wrote: files, names of objects, trust, and checks of single values."""
