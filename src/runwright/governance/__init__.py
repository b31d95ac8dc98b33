"""What makes runs accountable: evidence of what happened, signed, that anybody verifies without the server."""
