"""Linear maps between the states of two languages, learnt on some sentences, tested on others; their job."""
