"""A whole manifest spoken into a folder: what is asked for, what speaks it, the record of what was made."""
