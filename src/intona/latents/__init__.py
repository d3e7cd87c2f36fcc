"""What an acoustic model predicts, each behind one face."""
