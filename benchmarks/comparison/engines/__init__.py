"""One module per engine: `VARIANTS` maps a precision to what prepares it."""
