"""The runtime surface: `/api/v1`, as the seed of runtime runs names its addresses."""
