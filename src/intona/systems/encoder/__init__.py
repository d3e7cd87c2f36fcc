"""System prosody: text encoders pretrained for prosody, and the synthesizers they are plugged into."""
