"""Shared by every job: shards, resume, atomic writes, Zarr groups, devices, compiled programs, progress."""
