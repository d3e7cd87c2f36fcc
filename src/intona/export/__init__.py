"""Voices and vocoders as ONNX graphs, for `intona.runtime`: what `intona export` writes."""
