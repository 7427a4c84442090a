"""Everything between a recording on disk and a kernel, and between a kernel and a table."""
