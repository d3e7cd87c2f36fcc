"""Building blocks without speech words in them."""
