"""The version, in a file that imports nothing: the package, the build and the pages that name it read it."""

__version__ = "0.1.0"
