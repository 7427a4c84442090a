"""Encoder states to tokens: greedy and beam search, language tokens, early exit; shared by decoder jobs."""
