"""Functions by name: those of a user's file, `path/file.py:name`, and registered ones."""

from .files import FileFunction, Use, is_of_file, load_function, name_of, within
from .registering import Entry, Registry

__all__ = ["Entry", "FileFunction", "Registry", "Use", "is_of_file", "load_function", "name_of", "within"]
