"""Single words by sound and meaning: cognates, synonyms, near-homophones along states; the lexicon job."""
