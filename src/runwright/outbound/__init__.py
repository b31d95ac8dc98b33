"""The way out of the house: what is connected to, and how."""
