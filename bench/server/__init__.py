"""Speed and footprint of the embedded server, with an MLflow tracking server beside it."""
