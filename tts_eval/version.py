"""Which version this is: a module of its own, so that whoever names it needs nothing else of the package."""

__version__ = "0.1.0"
