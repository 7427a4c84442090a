"""The model: log-mel, encoder, decoder, parameters, tokenizer, alignment heads, the encoder as a program."""
