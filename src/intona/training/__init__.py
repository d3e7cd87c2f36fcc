"""The one loop: a task, a config, an exact resume."""
