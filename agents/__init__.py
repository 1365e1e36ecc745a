"""The shell of molehill: reads, calls the core, stores, and performs the effects that the core returned."""
