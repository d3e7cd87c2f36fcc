"""Studies: many runs that answer one question. `engine` runs their jobs; every other package is one study."""
