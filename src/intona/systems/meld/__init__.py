"""System meld (arXiv 2605.29859): a codebook, then one model that speaks, listens, or both."""
