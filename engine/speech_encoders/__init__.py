"""Encoders of speech that transformers has in PyTorch, by one table; needs the extra `torch`."""
