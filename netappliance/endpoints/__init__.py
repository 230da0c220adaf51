"""What Twisted itself serves, pages and SSH: endpoints as services, sites with limits."""
