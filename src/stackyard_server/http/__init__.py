"""HTTP, as all three ports speak it: what a connection may take, and which pages' requests are believed."""
