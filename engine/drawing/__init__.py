"""Shared by all figures and pages: palette, fonts, saving, the page shell."""
