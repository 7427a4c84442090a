"""Tallies: how much of a store or a grid is there, and how fast it grows; reads metadata and no audio."""
