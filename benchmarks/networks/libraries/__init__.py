"""The networks of each library, by name. A module here is imported only where its library is installed."""
