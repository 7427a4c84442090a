"""How much of how much is there in a store or a grid, and how fast it grows; reads metadata and no audio."""
