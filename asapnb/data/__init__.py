"""Data to train on: sets known by name, files and frames of one's own, the download, and one small embedded set."""

from .catalogue import Availability, available, load_dataset
from .contents import columns_of
from .dataset import Dataset, Split
from .fetching import download
from .options import Options, beside, files_of
from .preparation import Preparation
from .recorded import RecordedData, facts_of, preparation_in, stand_in, trusted

__all__ = [
    "Availability",
    "Dataset",
    "Options",
    "Preparation",
    "RecordedData",
    "Split",
    "available",
    "beside",
    "columns_of",
    "download",
    "facts_of",
    "files_of",
    "load_dataset",
    "preparation_in",
    "stand_in",
    "trusted",
]
