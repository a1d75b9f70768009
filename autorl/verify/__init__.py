"""What decides success."""
