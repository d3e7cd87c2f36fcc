"""The shipped model of Russian stress: silero-stress 1.5 in NumPy (`scripts/convert_silero.py`)."""
