"""How bytes move: poller, listeners, accept queue, timers, relay. No policy lives here."""
