"""What stands between the gateway and an endpoint that is slow, wrong or gone; rules without I/O, mostly."""
