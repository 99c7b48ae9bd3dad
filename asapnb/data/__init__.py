"""Data to train on: sets known by name, files and frames of one's own, the download, and one small embedded set."""

from .catalogue import Availability, available, load_dataset
from .dataset import Dataset, Split
from .fetching import download
from .options import Options

__all__ = ["Availability", "Dataset", "Options", "Split", "available", "download", "load_dataset"]
