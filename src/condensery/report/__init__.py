"""A page that shows condensed sets: what they are, how good they are, and where they come from."""
