"""Decoders trained from stored encoder states: examples, loss, training step, checkpoints, the tune job."""
