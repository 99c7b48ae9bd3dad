"""Data to train on: data sets known by name, your own files and frames, downloads, and a small embedded set."""

from .catalogue import Availability, available, load_dataset
from .dataset import Dataset, Split
from .fetching import download
from .options import Options

__all__ = ["Availability", "Dataset", "Options", "Split", "available", "download", "load_dataset"]
