"""Weight files of any format, read into named tensors."""
