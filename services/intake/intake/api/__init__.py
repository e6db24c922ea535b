"""HTTP: routes, request and response schemas. Errors of the lower layers are mapped in `problems`."""
