"""Programs that make the data and train the small models of this project."""
