"""The networks, their files, ONNX export and quantisation. Import what you need from the room's files."""
