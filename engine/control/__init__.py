"""Challenge sets and factors: how much of retrieval is sound, meaning or length, and the control job."""
