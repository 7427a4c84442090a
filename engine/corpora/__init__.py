"""Recordings, texts, languages and durations; nothing of a model."""
