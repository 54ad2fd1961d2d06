"""From data sets to trained networks, with Keras."""
