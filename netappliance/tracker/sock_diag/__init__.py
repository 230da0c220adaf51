"""This host's sockets over sock_diag, or from /proc: messages, the table, TCP_INFO, long-lived connections."""
