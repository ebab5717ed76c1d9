"""What proposes: synthesizers, each in a module of its own."""
