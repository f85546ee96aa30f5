"""What the server tells about itself: counts kept while it answers (``meter``), Prometheus' text (``exposition``)."""
