"""Functions by name: those of a user's file, `path/file.py:name`, which is run as it is, and registered ones."""

from .files import FileFunction, Use, is_of_file, load_function, name_of
from .registering import check_named, first_line

__all__ = ["FileFunction", "Use", "check_named", "first_line", "is_of_file", "load_function", "name_of"]
