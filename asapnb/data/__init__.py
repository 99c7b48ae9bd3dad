"""Image sets to train on: the readers, the search for them, the download, and one small embedded set."""

from .catalogue import Availability, available, load_dataset
from .dataset import Dataset, Split
from .fetching import download

__all__ = ["Availability", "Dataset", "Split", "available", "download", "load_dataset"]
