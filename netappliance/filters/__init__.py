"""What the families of filters share, of datagrams and of requests."""
