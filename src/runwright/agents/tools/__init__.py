"""The tools that agents may call, and what runs them."""
