"""The grid job: score matrices of all pairs of languages, states and measures, stored."""
