"""Functions from a user's file, `path/file.py:name`: the file is run as the Python that it is."""

from .files import FileFunction, Use, is_of_file, load_function, name_of

__all__ = ["FileFunction", "Use", "is_of_file", "load_function", "name_of"]
