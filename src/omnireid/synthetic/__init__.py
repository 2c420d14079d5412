"""The procedural people and camera-network renderer: data with no real person in it.

Torch-free. Drawing needs the extra `synth` (OpenCV), which is imported when something is drawn.
"""
