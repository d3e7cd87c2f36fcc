"""Text and audio encoders behind one interface (`base.py`)."""
