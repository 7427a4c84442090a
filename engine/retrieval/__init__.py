"""The grid and report jobs: score matrices, ranks, tables, heatmaps and the page."""
