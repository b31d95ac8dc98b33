"""The figures of Runwright, each measured beside the raw database of the same run."""
