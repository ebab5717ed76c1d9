"""Any server that speaks OpenAI's `POST /v1/audio/speech`."""
