"""The interpret job: word matches, shares of the score, tests, pictures and the page."""
