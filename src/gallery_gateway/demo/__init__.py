"""A stand-in for the REST API with generated projects and pictures, and a web page that shows them."""
