"""A case's way through the store: from its source to its verdict."""
