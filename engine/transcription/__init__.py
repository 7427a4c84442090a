"""The transcribe job: transcripts, WER, CER, BLEU, chrF and the best exit."""
