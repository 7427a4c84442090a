"""The align job: word timestamps."""
