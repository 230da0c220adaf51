"""What metrics are counted with."""
