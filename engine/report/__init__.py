"""The report job: tables, heatmaps, maps and pages of one grid, or of several side by side."""
