"""Encoder states made, stored and read back; the extract job."""
