"""What in a clip decides: gradients, integrated gradients, occlusion, features, and the parts to be heard."""
