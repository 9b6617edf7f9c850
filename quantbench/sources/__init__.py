"""Files from outside: registries, hubs, web servers and this disk."""
