"""Rules of Russian: spelling out, sentences, stress, letters to phones."""
