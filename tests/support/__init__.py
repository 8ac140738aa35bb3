"""What the journey and wire tests share."""
