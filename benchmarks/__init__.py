"""Side by side with nginx, HAProxy and Envoy: ``make bench``. Ratios count, absolute numbers are of one machine."""
