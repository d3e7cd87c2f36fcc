"""Parts of every kind, written as another package would: against the public interfaces of intona only."""
