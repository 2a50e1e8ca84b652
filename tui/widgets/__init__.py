"""Line-API widgets and the pure functions that fill them."""
