"""The built-in synthetic street: map, scenery, car motion and a CPU renderer. Import its modules by name."""
