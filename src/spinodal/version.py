"""The version that is installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("spinodal")
except PackageNotFoundError:  # running from a source tree that is not installed
    __version__ = "0+unknown"
