"""Rules of English: spelling out, sentences."""
