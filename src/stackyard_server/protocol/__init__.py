"""ClearML's protocol as data: the envelope of requests and answers, every request's fields, every error. Pure."""
