"""What all studies share: plans of jobs, the runner that carries them out, the parts of their pages."""
