"""Training an encoder of one's own: made only when it is asked for."""
