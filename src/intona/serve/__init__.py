"""Voices over HTTP: OpenAI's speech API, and routes for what it has no words for.

`app.create_app` builds the application and `cli/serve.py` runs it. Requests are untrusted: their size and
time are limited (`guard`), voices come from a fixed list (`voices`), and no field names a file.
"""
