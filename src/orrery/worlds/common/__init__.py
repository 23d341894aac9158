"""What twins of several bodies share: relief, craters, cast shadows, places on the map and their displacement."""
