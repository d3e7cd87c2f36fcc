"""Speech without torch: graphs of `intona export` run by onnxruntime, all else computed by NumPy."""
