"""How a scene of meshes becomes a picture: camera, visible surfaces, light and shadow, lens and sensor."""
