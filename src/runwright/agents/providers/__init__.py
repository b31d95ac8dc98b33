"""The models that can be asked, each behind the one port."""
