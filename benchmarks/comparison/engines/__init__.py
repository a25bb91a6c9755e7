"""One module an engine: `VARIANTS` maps a precision to what prepares it."""
