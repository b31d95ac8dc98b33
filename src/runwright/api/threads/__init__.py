"""The threads surface: conversations, their runs, and what they are made with (seeds 001 and 003)."""
