"""Parts of every kind, written as another package would write them: against intona's public interfaces only."""
