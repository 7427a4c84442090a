"""Meaning and sound of texts: sentence encoders, phones, and distances of both."""
