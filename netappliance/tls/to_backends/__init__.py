"""TLS to backends: what a cluster's ``tls`` means, whom it trusts, and sessions that are resumed."""
